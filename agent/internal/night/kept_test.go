package night

import (
	"errors"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
)

// TestJudgeKept compares what stands beside the marker with the log without changing anything.
func TestJudgeKept(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	fresh := m.disk.Snapshot()
	p.seal(recordings(4)[:2], contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	older := m.disk.Snapshot()
	p.seal(recordings(4)[2:], contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	log, err := m.db.Ledger(testOrigin)
	check(t, err)
	n := New(Config{Log: log, Key: p.agent})
	keptAt := func(disk *memdest.Disk) Kept {
		t.Helper()
		store, err := dest.New(disk, "memory", string(testOrigin))
		check(t, err)
		place, err := store.Open(t.Context())
		check(t, err)
		defer place.Close()
		kept, err := ReadKept(t.Context(), place)
		check(t, err)
		return kept
	}
	now := keptAt(m.disk)
	for name, test := range map[string]struct {
		kept Kept
		want error
	}{
		"as it is":              {now, nil},
		"an older copy":         {keptAt(older), ErrWentBack},
		"a new place":           {keptAt(fresh), ErrWentBack},
		"an older last receipt": {Kept{Head: now.Head, LastDelivered: keptAt(older).LastDelivered}, ErrWentBack},
		"a head of nothing":     {Kept{Head: []byte{}, LastDelivered: now.LastDelivered}, ErrWentBack},
	} {
		if err := n.JudgeKept(test.kept); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	n.receipts.Lock()
	if err := n.JudgeKept(now); !errors.Is(err, ErrBusy) {
		t.Errorf("while a receipt is made: %v", err)
	}
	n.receipts.Unlock()
	n.begin()
	if err := n.JudgeKept(keptAt(older)); !errors.Is(err, ErrBusy) {
		t.Errorf("while a pass runs: %v", err)
	}
	if err := n.JudgeKept(now); err != nil {
		t.Errorf("while a pass runs and all is as it should be: %v", err)
	}
	check(t, m.db.Close())
	m.open()
	log, err = m.db.Ledger(testOrigin)
	check(t, err)
	if err := New(Config{Log: log, Key: p.agent}).JudgeKept(now); !errors.Is(err, ErrKeptUnknown) {
		t.Errorf("with an empty log: %v", err)
	}
}

// TestPending counts what waits, and its bytes.
func TestPending(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(5)
	p.seal(names[:3], contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	pending := func() (int64, int64) {
		t.Helper()
		log, err := m.db.Ledger(testOrigin)
		check(t, err)
		items, sizeBytes, err := New(Config{Log: log, Key: p.agent}).Pending()
		check(t, err)
		return items, sizeBytes
	}
	if items, sizeBytes := pending(); items != 0 || sizeBytes != 0 {
		t.Errorf("after a whole night %d are pending, %d bytes", items, sizeBytes)
	}
	m.disk.Plant(names[4], []byte("somebody else's")) // a conflict stays pending
	p.seal(names[3:], contentOf)
	if outcome := m.life(t.Context()); outcome.Complete {
		t.Fatal("the night is complete")
	}
	if items, sizeBytes := pending(); items != 1 || sizeBytes != int64(len(contentOf(names[4]))) {
		t.Errorf("after half a night %d are pending, %d bytes", items, sizeBytes)
	}
}
