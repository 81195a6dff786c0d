package night

import (
	"errors"
	"strings"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/evidence"
	"github.com/wolkvox/backup/internal/store"
)

// evidenceFolder is where the evidence of the tests' log is at the destination.
var evidenceFolder = backup.OwnPrefix + "/" + evidence.Folder(testOrigin) + "/"

// TestEvidence writes it after each agreement, and at first what was agreed before. That it cannot be written stops no pass.
func TestEvidence(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(3), contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	seal := func(name string) {
		p.seal([]string{name}, contentOf)
		size, _ := p.log.Position()
		m.await("the new night", func(log *store.Ledger) bool { here, _ := log.Position(); return here == size })
	}
	refuse := errors.New("no room")
	m.refuse = func(op desttest.Op, name string) error {
		if op == desttest.OpWriteOwn && strings.HasPrefix(name, "evidence/") {
			return refuse
		}
		return nil
	}
	err := m.loop(func(n *Night) {
		m.await("a problem", func(*store.Ledger) bool { return errors.Is(n.Evidence().Problem, refuse) })
		seal("z.gsm")
		if outcome, err := n.RunNow(t.Context()); err != nil || !outcome.Complete {
			t.Errorf("the pass: %+v, %v", outcome, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	m.refuse = nil
	err = m.loop(func(n *Night) {
		m.await("the evidence", func(log *store.Ledger) bool {
			size, err := sizeOf(log.Agreed())
			return err == nil && n.Evidence().Size == size
		})
		if through := (backup.Date{Year: 2026, Month: 3, Day: 2}); n.Evidence().Through != through || n.Evidence().Problem != nil {
			t.Errorf("it is %+v, want through %s", n.Evidence(), through)
		}
		before := n.Evidence().Size
		seal("zz.gsm")
		if outcome, err := n.RunNow(t.Context()); err != nil || !outcome.Complete {
			t.Errorf("the next pass: %+v, %v", outcome, err)
		}
		m.await("more evidence", func(*store.Ledger) bool { return n.Evidence().Size > before && n.Evidence().Through.Day == 3 })
	})
	if err != nil {
		t.Error(err)
	}
	heads, sums := 0, 0
	for name := range m.disk.Files() {
		if rest, ok := strings.CutPrefix(name, evidenceFolder); ok && strings.HasPrefix(rest, "heads/") {
			heads++
		} else if ok && strings.HasSuffix(rest, "/SHA256SUMS") {
			sums++
		}
	}
	if heads < 2 || sums != 3 {
		t.Errorf("%d heads and %d SHA256SUMS, want at least 2, and 3", heads, sums)
	}
	m.check("at the end")
}
