package night

import (
	"errors"
	"fmt"
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

// TestEvidenceAltered leaves what somebody changed and says so, and writes all of it anew when the folder is gone.
func TestEvidenceAltered(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(3), contentOf)
	run := func(n *Night) {
		t.Helper()
		if outcome, err := n.RunNow(t.Context()); err != nil || !outcome.Complete {
			t.Errorf("the pass: %+v, %v", outcome, err)
		}
	}
	files := func() (names []string) {
		for name := range m.disk.Files() {
			if strings.HasPrefix(name, evidenceFolder) {
				names = append(names, strings.TrimPrefix(name, backup.OwnPrefix+"/"))
			}
		}
		return names
	}
	var altered string
	err := m.loop(func(n *Night) {
		m.await("the night", func(log *store.Ledger) bool { size, _ := log.Position(); return size >= 3 })
		run(n)
		m.await("the evidence", func(log *store.Ledger) bool { return n.Evidence().Through.Day == 1 && n.settled() })
		m.await("all of it", func(log *store.Ledger) bool { size, _ := log.Position(); return n.Evidence().Size == size })
		altered = fmt.Sprintf("%s/heads/%010d.txt", evidence.Folder(testOrigin), n.Evidence().Size)
	})
	if err != nil {
		t.Error(err)
	}
	m.disk.SetOwn(altered, []byte("somebody else's"))
	err = m.loop(func(n *Night) {
		m.await("a problem", func(*store.Ledger) bool {
			_, ok := errors.AsType[*evidence.DiffersError](n.Evidence().Problem)
			return ok
		})
		if said := n.Evidence().Problem.Error(); !strings.Contains(said, "heads/") || !strings.Contains(said, "move the folder "+strings.TrimSuffix(evidenceFolder, "/")+" away") {
			t.Errorf("it says %q", said)
		}
		if string(m.disk.Files()[backup.OwnPrefix+"/"+altered]) != "somebody else's" {
			t.Error("what was changed is gone")
		}
		for _, name := range files() {
			m.disk.SetOwn(name, nil)
		}
		run(n)
		m.await("the evidence again", func(*store.Ledger) bool { e := n.Evidence(); return e.Through.Day == 1 && e.Problem == nil })
	})
	if err != nil {
		t.Error(err)
	}
	if len(files()) < 4 {
		t.Errorf("there are only %q", files())
	}
}
