package probe

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/schedule"
)

// TestLoop checks soon after the start, once before each window, and every hour while it is red and no window is open.
func TestLoop(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		window      schedule.Window
		red         bool
		least, most int64 // checks in 24 hours from noon on
	}{
		"well":           {schedule.Window{Start: 2 * time.Hour, End: 6 * time.Hour, Location: time.UTC}, false, 2, 2},
		"open all day":   {schedule.Window{Location: time.UTC}, false, 2, 2},
		"red":            {schedule.Window{Start: 2 * time.Hour, End: 6 * time.Hour, Location: time.UTC}, true, 18, 21},
		"red all day":    {schedule.Window{Location: time.UTC}, true, 2, 2},
		"no window":      {schedule.Window{}, false, 1, 1},
		"red, no window": {schedule.Window{}, true, 23, 24},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			began, checks := time.Now(), new(atomic.Int64)
			var inWindow atomic.Int64
			c := initialised(t, well(t, memdest.New()))
			c.Now = func() time.Time { return noon.Add(time.Since(began)) }
			c.StateRoom = func() error {
				checks.Add(1)
				if test.window.Start > 0 && test.window.Next(c.Now()).Contains(c.Now()) {
					inWindow.Add(1)
				}
				if test.red {
					return errors.New("full")
				}
				return nil
			}
			p := New(c)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				p.Loop(ctx, func() (schedule.Window, bool) { return test.window, test.window.Location != nil })
			}()
			time.Sleep(firstWait + lookEvery)
			synctest.Wait()
			if checks.Load() != 1 {
				t.Errorf("%s: soon after the start there were %d checks", name, checks.Load())
			}
			time.Sleep(24*time.Hour - firstWait - lookEvery)
			synctest.Wait()
			if n := checks.Load(); n < test.least || n > test.most || inWindow.Load() > 0 {
				t.Errorf("%s: %d checks, %d of them in a window, want %d to %d and none", name, n, inWindow.Load(), test.least, test.most)
			}
			cancel()
			<-ended
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	w := schedule.Window{Start: 2 * time.Hour, End: 6 * time.Hour, Location: time.UTC}
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 0, 0, time.UTC) }
	for _, test := range []struct {
		name      string
		now, last time.Time
		worst     backup.CheckVerdict
		want      bool
	}{
		{"in the afternoon", at(1, 15, 0), at(1, 3, 0), backup.CheckGood, false},
		{"three hours before", at(1, 23, 0), at(1, 12, 0), backup.CheckGood, true},
		{"once", at(1, 23, 30), at(1, 23, 0), backup.CheckGood, false},
		{"started late, checked since", at(2, 1, 0), at(2, 0, 30), backup.CheckUnknown, false},
		{"in the window", at(2, 3, 0), at(1, 23, 0), backup.CheckBad, false},
		{"red for an hour", at(1, 16, 0), at(1, 15, 0), backup.CheckBad, true},
		{"red for less", at(1, 15, 59), at(1, 15, 0), backup.CheckBad, false},
		{"a check of the future", at(1, 15, 0), at(2, 15, 0), backup.CheckGood, true},
	} {
		if got := isDue(test.now, w, true, backup.CheckReport{At: test.last, Worst: test.worst}, 0); got != test.want {
			t.Errorf("%s: due is %v", test.name, got)
		}
	}
}

// TestLoopEnded leaves a destination alone to which nothing is copied any more.
func TestLoopEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := well(t, &refusing{err: errX})
		c.Ended = func() bool { return true }
		p := New(c)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.Loop(ctx, func() (schedule.Window, bool) { return schedule.Window{}, false })
		}()
		time.Sleep(2 * again)
		if report, looked := p.Last(); looked {
			t.Errorf("it was checked: %+v", report)
		}
		cancel()
		<-ended
	})
}
