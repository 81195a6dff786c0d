package night

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/schedule"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// openWindow is open now and for hours on, by any clock.
func openWindow() (schedule.Window, bool) {
	at := time.Now().UTC()
	of := func(t time.Time) time.Duration { return t.Sub(t.Truncate(24 * time.Hour)) }
	return schedule.Window{Start: of(at.Add(-5 * time.Hour)), End: of(at.Add(5 * time.Hour)), Location: time.UTC}, true
}

// TestPaused copies nothing by itself, neither in the window nor when wolkvox asks, goes on agreeing, and copies when a
// person asks.
func TestPaused(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	m.paused = func(time.Time) bool { return true }
	p.seal(recordings(3), contentOf)
	err := m.loopIn(openWindow, func(n *Night) {
		m.await("agreement on the night", func(log *store.Ledger) bool {
			head, _, err := ledger.ParseHead(log.Agreed())
			return err == nil && head.Size == 3
		})
		n.Wake()
		for began := time.Now(); time.Since(began) < 300*time.Millisecond; time.Sleep(10 * time.Millisecond) {
			if c := n.Condition(); c.Running || c.Problem != nil || n.Total().FetchedBytes > 0 {
				t.Fatalf("while paused: %+v, %+v", c, n.Total())
			}
		}
		if got := n.untilPass(n.Now(), 0, openWindow); got != idleCheck {
			t.Errorf("while paused a pass is due in %v, want %v", got, idleCheck)
		}
		outcome, err := n.RunNow(t.Context())
		if err != nil || !outcome.Complete || outcome.Progress.ConfirmedItems != 3 {
			t.Errorf("the pass that a person asked for: %+v, %v", outcome, err)
		}
	})
	if err != nil {
		t.Errorf("Loop = %v", err)
	}
	m.check("at the end")
}

// TestPausedInPass ends a pass soon, takes what came to its end and leaves nothing half done; the next one goes on.
func TestPausedInPass(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	var paused atomic.Bool
	m.paused = func(time.Time) bool { return paused.Load() }
	pause := sync.OnceFunc(func() { paused.Store(true) })
	p.spoil = func(index int64, data []byte) []byte {
		if index == 100 {
			pause()
		}
		time.Sleep(3 * time.Millisecond)
		return data
	}
	const items = 200
	p.seal(recordings(items), contentOf)
	err := m.loop(func(n *Night) {
		m.await("the night", func(log *store.Ledger) bool { size, _ := log.Position(); return size == 3 })
		n.Wake()
		m.await("the end of the pass", func(*store.Ledger) bool { return !n.Condition().LastRun.IsZero() })
		c, done := n.Condition(), n.Progress()
		if c.Problem != nil || n.RestLeft() > 0 {
			t.Errorf("a pass that was paused is a problem: %+v, rest for %v", c, n.RestLeft())
		}
		if done.ConfirmedItems == 0 || done.ConfirmedItems >= items || done.FaultItems != 0 { // some are on their way
			t.Errorf("the pass that was paused when item 100 was sent has %+v", done)
		}
		if total, err := p.log.Total(); err != nil || total[backup.Confirmed] != done.ConfirmedItems {
			t.Errorf("the server has %v, %v, want %d confirmed", total, err, done.ConfirmedItems)
		}
		m.check("in the pause")
		paused.Store(false)
		n.Wake()
		m.await("all", func(*store.Ledger) bool {
			total, err := p.log.Total()
			return err == nil && total[backup.Confirmed] == items
		})
	})
	if err != nil {
		t.Errorf("Loop = %v", err)
	}
	m.check("at the end")
}

// TestPassPaused remembers a pause that ended meanwhile, and none in a pass that a person asked for.
func TestPassPaused(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	var paused atomic.Bool
	m.paused = func(time.Time) bool { return paused.Load() }
	if err := m.loop(func(n *Night) {
		own, asked := newPass(n), newPass(n)
		own.byItself = true
		for _, now := range []bool{false, true, false} {
			paused.Store(now)
			if asked.paused() {
				t.Error("a person's pass is paused")
			}
			if got := own.paused(); got != (now || own.held) {
				t.Errorf("paused %v: %v", now, got)
			}
		}
		if err := own.leftOver(3); !errors.Is(err, ErrPaused) {
			t.Errorf("what is left over: %v", err)
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestMeasure tells of passes that fetched much or long, and of no others.
func TestMeasure(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fetched int64
		took    time.Duration
		want    int64 // 0 for nothing
	}{{0, time.Hour, 0}, {1000, time.Second, 0}, {1000, 10 * time.Second, 100}, {32 << 20, time.Second, 32 << 20}, {32 << 20, 0, 0}} {
		var got int64
		n := New(Config{Measured: func(bytesPerSecond int64) { got = bytesPerSecond }})
		n.measure(test.fetched, test.took)
		if got != test.want {
			t.Errorf("%d bytes in %v: %d bytes per second, want %d", test.fetched, test.took, got, test.want)
		}
	}
	New(Config{}).measure(1<<30, time.Second)
}
