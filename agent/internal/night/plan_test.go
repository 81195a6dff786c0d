package night

import (
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/store"
)

// TestPlan counts what is pending before a pass, after one that left something, and when all is done.
func TestPlan(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(5)
	if err := m.loop(func(n *Night) {
		m.await("the log", func(log *store.Ledger) bool { size, _ := log.Position(); return size == 2 })
		if plan, err := n.Plan(); err != nil || plan != (Plan{}) {
			t.Errorf("of nothing: %+v, %v", plan, err)
		}
		m.disk.Plant(names[1], []byte("somebody else's"))
		p.seal(names[:3], contentOf)
		p.seal(names[3:], contentOf)
		m.await("two nights", func(log *store.Ledger) bool { size, _ := log.Position(); return size == 4 })
		var sizeBytes int64
		for _, name := range names {
			sizeBytes += int64(len(contentOf(name)))
		}
		deadline := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
		if plan, err := n.Plan(); err != nil || plan != (Plan{5, sizeBytes, deadline}) {
			t.Errorf("of two nights: %+v, %v, want 5 of %d bytes", plan, err, sizeBytes)
		}
		if _, err := n.RunNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if plan, err := n.Plan(); err != nil || plan != (Plan{1, int64(len(contentOf(names[1]))), deadline}) {
			t.Errorf("of one that could not be copied: %+v, %v", plan, err)
		}
	}); err != nil {
		t.Error(err)
	}
}
