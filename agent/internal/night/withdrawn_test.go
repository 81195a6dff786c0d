package night

import (
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// TestWithdrawn moves aside what was published for items that were withdrawn before anybody signed for them, only where it is
// that and no other item's.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(5)
	n := p.seal(names, contentOf)
	p.seal([]string{names[2]}, contentOf)
	m.disk.Plant(names[0], contentOf(names[0]))       // published
	m.disk.Plant(names[1], []byte("somebody else's")) // not what was withdrawn
	m.disk.Plant(names[2], contentOf(names[2]))       // another item's too
	var root [32]byte
	p.log.View(func(log *ledger.Log) { m, _ := log.Manifest(n); root = m.Root })
	p.append(ledger.Withdrawn{Manifest: n, Root: root, Indexes: ledger.NewSet(ledger.Range{First: 0, Last: 3}), Reason: ledger.WithdrawnLost})
	for range 2 {
		if outcome := m.life(t.Context()); !outcome.Complete {
			t.Fatal(outcome.Err)
		}
		files := m.disk.Files()
		for name, want := range map[string]string{
			names[0]: "", ".wolkvox/aside/withdrawn-1-0/" + names[0]: string(contentOf(names[0])),
			names[1]: "somebody else's", names[2]: string(contentOf(names[2])), names[3]: "", names[4]: string(contentOf(names[4])),
		} {
			if string(files[name]) != want {
				t.Errorf("%s holds %d bytes, want %d", name, len(files[name]), len(want))
			}
		}
	}
}

// TestWithdrawnMeanwhile does not sign for an item that is withdrawn between its fetch and its receipt; what was published is
// moved aside by the next pass.
func TestWithdrawnMeanwhile(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(3)
	n := p.seal(names, contentOf)
	log, err := m.db.Ledger(testOrigin)
	check(t, err)
	withdraw := sync.OnceFunc(func() {
		var root [32]byte
		p.log.View(func(log *ledger.Log) { m, _ := log.Manifest(n); root = m.Root })
		p.append(ledger.Withdrawn{Manifest: n, Root: root, Indexes: ledger.NewSet(ledger.Range{First: 0, Last: 0}), Reason: ledger.WithdrawnLost})
		want, _ := p.log.Position()
		for size, _ := log.Position(); size < want; size, _ = log.Position() {
			time.Sleep(time.Millisecond)
		}
	})
	m.outage.hook = func(op string) {
		if op == "open staged" { // it is read back before it is published
			withdraw()
		}
	}
	if outcome := m.life(t.Context()); !outcome.Complete || outcome.Progress.ConfirmedItems != 2 {
		t.Errorf("the pass ends with %+v, want 2 confirmed", outcome)
	}
	if state, err := p.log.StateOf(n, 0); err != nil || state != backup.Withdrawn {
		t.Errorf("the item that was withdrawn is %v, %v", state, err)
	}
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Error(outcome.Err)
	}
	files := m.disk.Files()
	if _, there := files[names[0]]; there || string(files[".wolkvox/aside/withdrawn-1-0/"+names[0]]) != string(contentOf(names[0])) {
		t.Errorf("it is still there: %v", there)
	}
}
