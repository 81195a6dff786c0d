package night

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/schedule"
	"github.com/wolkvox/backup/agent/internal/state"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// live opens the store below dir as the agent does, and lives on it until a pass is complete: what is damaged is set aside.
func (m *machine) live(dir string) (outcome Outcome, asides int) {
	m.t.Helper()
	for range 4 {
		db, aside, err := state.Open(m.t.Context(), dir, store.Options{})
		check(m.t, err)
		if aside != nil {
			asides++
		}
		if _, err = db.Ledger(testOrigin); err == nil {
			m.db = db
			outcome = m.life(m.t.Context())
			err = outcome.Err
		}
		_ = db.Close()
		switch {
		case errors.Is(err, store.ErrDamaged):
			_, err := state.Discard(m.t.Context(), dir, err, nil)
			check(m.t, err)
			asides++
		case err == nil, !errors.Is(err, store.ErrFailed):
			return outcome, asides
		}
	}
	m.t.Errorf("the agent does not come to an end: %+v", outcome)
	return outcome, asides
}

// TestEveryStoreFile cuts, empties and removes every file of the agent's store in turn. Each time the agent comes back to the
// same head by itself, and fetches nothing that is at the destination.
func TestEveryStoreFile(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	check(t, m.db.Close())
	whole := t.TempDir()
	p.seal(recordings(8)[:5], contentOf)
	if outcome, _ := m.live(whole); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	p.seal(recordings(8)[5:], contentOf)
	if outcome, _ := m.live(whole); !outcome.Complete { // some in tables, some in logs
		t.Fatal(outcome.Err)
	}
	files, err := os.ReadDir(filepath.Join(whole, state.Dir))
	check(t, err)
	size, root := p.log.Position()
	served := p.served
	var running sync.WaitGroup
	var reported atomic.Int32
	atOnce := make(chan struct{}, 6) // they wait more than they work
	for _, file := range files {
		for how, damage := range map[string]func(path string) error{
			"cut": func(path string) error {
				info, err := os.Stat(path)
				if err != nil {
					return err
				}
				return os.Truncate(path, info.Size()/2)
			},
			"zeroed": func(path string) error {
				info, err := os.Stat(path)
				if err != nil {
					return err
				}
				return os.WriteFile(path, make([]byte, min(info.Size(), 1<<20)), 0o600)
			},
			"removed": os.Remove,
		} {
			atOnce <- struct{}{}
			running.Go(func() {
				defer func() { <-atOnce }()
				m := &machine{t: t, peer: p, disk: m.disk.Snapshot()}
				dir := t.TempDir()
				check(t, os.CopyFS(filepath.Join(dir, state.Dir), os.DirFS(filepath.Join(whole, state.Dir))))
				check(t, damage(filepath.Join(dir, state.Dir, file.Name())))
				outcome, asides := m.live(dir)
				reported.Add(int32(asides))
				if !outcome.Complete || p.served != served {
					t.Errorf("%s %s: %+v, %d items were fetched", file.Name(), how, outcome, p.served-served)
				}
				agreed, _, err := ledger.ParseHead(p.log.Agreed())
				if err != nil || agreed.Size != size || agreed.Root != root {
					t.Errorf("%s %s: agreed is %v, %v, want the head of size %d", file.Name(), how, agreed, err, size)
				}
				m.check(file.Name() + " " + how)
			})
		}
	}
	running.Wait()
	if reported.Load() == 0 {
		t.Error("no damage was met")
	}
	db, err := store.Open("", store.Options{InMemory: true})
	check(t, err)
	m.db = db
}

// TestKeptHeadAhead signs nothing, and leaves what the destination keeps alone, where the log does not lead to it: the server
// went back, and so did the agent, while nobody could see the destination.
func TestKeptHeadAhead(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(2), contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	before := m.disk.Files()
	old := &machine{t: t, peer: p.older(3), disk: m.disk, blind: true}
	old.open()
	t.Cleanup(func() { old.db.Close() })
	outcome := old.life(t.Context())
	if outcome.Complete || !errors.Is(outcome.Err, errKeptUnknown) {
		t.Errorf("the pass ends with %+v, want errKeptUnknown", outcome)
	}
	for _, name := range []string{string(dest.Head), string(dest.LastDelivered)} {
		if name = backup.OwnPrefix + "/" + name; string(m.disk.Files()[name]) != string(before[name]) {
			t.Errorf("%s was replaced", name)
		}
	}
	if size, _ := old.peer.log.Position(); size != 3 || old.peer.log.Agreed() != nil {
		t.Errorf("the older server's log has %d entries now, agreed is %q", size, old.peer.log.Agreed())
	}
}

// TestOddMarks puts in order what stands beside the marker and makes no sense.
func TestOddMarks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file  dest.OwnFile
		fresh bool // the agent's store is gone
		night bool // there was one before
	}{
		"head":                    {dest.Head, false, true},
		"head, fresh store":       {dest.Head, true, true},
		"receipt":                 {dest.LastDelivered, false, true},
		"receipt, fresh store":    {dest.LastDelivered, true, true},
		"head of a new place":     {dest.Head, false, false},
		"receipts of a new place": {dest.LastDelivered, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t)
			m := newMachine(t, p, "")
			if test.night {
				p.seal(recordings(2), contentOf)
				if outcome := m.life(t.Context()); !outcome.Complete {
					t.Fatal(outcome.Err)
				}
			}
			if test.fresh {
				check(t, m.db.Close())
				m.open()
			}
			m.disk.SetOwn(string(test.file), []byte("nonsense"))
			served := p.served
			for range 2 {
				if outcome := m.life(t.Context()); !outcome.Complete {
					t.Errorf("the pass ends with %v", outcome.Err)
				}
			}
			if got := string(m.disk.Files()[backup.OwnPrefix+"/"+string(test.file)]); got == "nonsense" {
				t.Error("it still makes no sense")
			}
			if p.served != served {
				t.Errorf("%d items were fetched", p.served-served)
			}
			m.check("at the end")
		})
	}
}

// TestAcceptLosses signs what an audit found in excess of 1 % when a person has accepted just that, and no more than that.
func TestAcceptLosses(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(30)
	p.seal(names[:20], contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	earlier := m.disk.Snapshot()
	p.seal(names[20:], contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	m.disk = earlier
	if err := m.loop(func(n *Night) {
		if _, _, err := n.AcceptLosses(); !errors.Is(err, ErrNoLosses) {
			t.Errorf("before any audit AcceptLosses = %v, want ErrNoLosses", err)
		}
		pass := func() Outcome {
			outcome, err := n.RunNow(t.Context())
			check(t, err)
			return outcome
		}
		if outcome := pass(); !errors.Is(outcome.Err, errWentBack) {
			t.Errorf("the first audit: %v", outcome.Err)
		}
		if lost, audited, err := n.AcceptLosses(); lost != 10 || audited != 30 || err != nil {
			t.Errorf("AcceptLosses = %d of %d, %v; want 10 of 30", lost, audited, err)
		}
		m.disk.Plant(names[0], []byte("altered since"))
		if outcome := pass(); !errors.Is(outcome.Err, errWentBack) {
			t.Errorf("an audit that found more than was accepted: %v", outcome.Err)
		}
		if total, _ := p.log.Total(); total[backup.Confirmed] != 30 {
			t.Errorf("more was signed than was accepted: %v", total)
		}
		if lost, _, err := n.AcceptLosses(); lost != 11 || err != nil {
			t.Errorf("AcceptLosses = %d, %v; want 11", lost, err)
		}
		m.disk.Plant(names[0], contentOf(names[0])) // fewer are covered, too
		if outcome := pass(); !outcome.Complete || outcome.Progress.ConfirmedItems != 10 {
			t.Errorf("after that was accepted: %+v, want 10 copied again", outcome)
		}
		if _, _, err := n.AcceptLosses(); !errors.Is(err, ErrNoLosses) {
			t.Errorf("once it is signed AcceptLosses = %v, want ErrNoLosses", err)
		}
	}); err != nil {
		t.Error(err)
	}
	m.check("at the end")
}

// TestMaySign lets two audits that found the same decide, and forgets a suspicion that was none.
func TestMaySign(t *testing.T) {
	t.Parallel()
	found := func(first, last int64) map[int64]losses {
		return map[int64]losses{1: {missing: ledger.NewSet(ledger.Range{First: first, Last: last})}}
	}
	n := New(Config{})
	for i, test := range []struct {
		found         map[int64]losses
		lost, audited int64
		moving, want  bool
	}{{found(0, 0), 1, 100, false, true}, {found(0, 1), 2, 100, false, false}, {found(1, 2), 2, 100, false, false}, {found(1, 2), 2, 100, true, false},
		{found(1, 2), 2, 100, false, true}, {found(3, 9), 7, 100, false, false}, {nil, 0, 100, true, true}, {found(3, 9), 7, 100, false, false}} {
		if got := n.maySign(test.found, test.lost, test.audited, test.moving); got != test.want {
			t.Errorf("audit %d: maySign = %v, want %v", i, got, test.want)
		}
	}
}

// TestNothingIsSignedMeanwhile refuses receipts between a fork and its end, and sends none from a place that went back.
func TestNothingIsSignedMeanwhile(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(2), contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	size, _ := p.log.Position()
	if err := m.loop(func(n *Night) {
		check(t, n.Session.WaitSynced(t.Context(), 10*time.Second))
		place, err := n.Dest.Open(t.Context())
		check(t, err)
		defer place.Close()
		one := ledger.NewSet(ledger.Range{First: 0, Last: 0})
		n.receipts.Lock()
		n.forked = true
		n.receipts.Unlock()
		if err := n.signDelivered(t.Context(), place, 1, one, backup.ReadbackCached, ledger.BroughtAutomatic); !errors.Is(err, errForked) {
			t.Errorf("after a fork signDelivered = %v, want errForked", err)
		}
		n.receipts.Lock()
		n.forked = false
		n.receipts.Unlock()
		check(t, n.signLost(1, one, ledger.LostMissing))
		m.disk.SetOwn(string(dest.LastDelivered), []byte("of another time"))
		if err := n.deliver(t.Context()); !errors.Is(err, errWentBack) {
			t.Errorf("deliver = %v, want errWentBack", err)
		}
		if err := n.signDelivered(t.Context(), place, 1, one, backup.ReadbackCached, ledger.BroughtAutomatic); !errors.Is(err, errWentBack) {
			t.Errorf("signDelivered = %v, want errWentBack", err)
		}
		if now, _ := p.log.Position(); now != size {
			t.Errorf("the server has %d entries, want %d as before", now, size)
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestWrongClock opens the window by the server's time: this machine's clock is half a day, and a year and a half day, off.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{12 * time.Hour, -12 * time.Hour, 365*24*time.Hour + 12*time.Hour, -365*24*time.Hour - 12*time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			p := newPeer(t)
			p.skew = skew
			m := newMachine(t, p, "")
			names := recordings(4)
			m.disk = memdest.New()
			place, err := dest.New(m.disk, "memory", string(testOrigin))
			check(t, err)
			_, err = place.Init(t.Context())
			check(t, err)
			m.disk.Plant(names[3], []byte("something else")) // a fault
			p.seal(names, contentOf)
			timeOfDay := func(at time.Time) time.Duration { return at.Sub(at.Truncate(24 * time.Hour)) }
			server := time.Now().UTC().Add(skew)
			window := schedule.Window{Start: timeOfDay(server.Add(-3 * time.Hour)), End: timeOfDay(server.Add(3 * time.Hour)), Location: time.UTC}
			err = m.loopIn(func() (schedule.Window, bool) { return window, true }, func(n *Night) {
				m.await("the night", func(*store.Ledger) bool {
					total, err := p.log.Total()
					return err == nil && total[backup.Confirmed] == 3
				})
				for n.Condition().Running {
					time.Sleep(time.Millisecond)
				}
				times := map[string]time.Time{"the end of the pass": n.Condition().LastRun}
				faults, err := n.Log.Faults(1)
				check(t, err)
				times["the fault"] = faults[0].Fault.Last
				for leaf, err := range n.Log.Entries(0, 100) {
					check(t, err)
					if e, err := ledger.ParseEntry(leaf); err == nil && e.Body.Kind() == ledger.KindDelivered {
						times["the receipt"] = e.Time
					}
				}
				_, times["the agreement"], err = ledger.OpenAgreedHead(n.Log.Agreed(), n.ServerKey, n.Key.Verifier())
				check(t, err)
				for what, at := range times {
					if at.Sub(server).Abs() > time.Minute {
						t.Errorf("%s is dated %v, by the server's time it is %v", what, at, server)
					}
				}
				if len(times) != 4 {
					t.Errorf("dates of %v", times)
				}
			})
			check(t, err)
			m.disk.Plant(names[3], contentOf(names[3]))
			m.check("at the end")
		})
	}
}

// TestNewLog takes over, without fetching anything, what an earlier log of the destination left at it.
func TestNewLog(t *testing.T) {
	t.Parallel()
	earlier := strings.Replace(string(testOrigin), "0011", "ffff", 1)
	p := newPeerAfter(t, &ledger.KnownHead{Origin: ledger.Origin(earlier), Size: 9})
	m := newMachine(t, p, "")
	m.disk = memdest.New()
	first, err := dest.New(m.disk, "memory", earlier)
	check(t, err)
	_, err = first.Init(t.Context())
	check(t, err)
	m.disk.SetOwn(string(dest.Head), []byte("a head of the earlier log"))
	m.disk.SetOwn(string(dest.LastDelivered), []byte("a receipt of the earlier log"))
	names := recordings(6)
	for _, name := range names {
		m.disk.Plant(name, contentOf(name))
	}
	p.seal(names, contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete || outcome.Progress.ConfirmedItems != 6 || p.served != 0 {
		t.Errorf("the pass ends with %+v after %d items were fetched", outcome, p.served)
	}
	if err := first.CheckMarker(t.Context()); !errors.Is(err, dest.ErrForeignMarker) {
		t.Errorf("for the earlier log the place is still its own: %v", err)
	}
	m.check("at the end")
}
