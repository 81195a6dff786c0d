package fetch

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup/internal/wire"
)

// fakePace says what it is told to and takes note of what it hears.
type fakePace struct {
	mu                   sync.Mutex
	streams, busy, slack int
}

func (p *fakePace) Streams() int { p.mu.Lock(); defer p.mu.Unlock(); return p.streams }
func (p *fakePace) Busy()        { p.mu.Lock(); defer p.mu.Unlock(); p.busy++ }
func (p *fakePace) Slack()       { p.mu.Lock(); defer p.mu.Unlock(); p.slack++ }
func (p *fakePace) set(n int)    { p.mu.Lock(); defer p.mu.Unlock(); p.streams = n }

// TestPaced has as many at a time as the pace wants, also where it changes its mind, and tells it when nothing is left.
func TestPaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pace := &fakePace{streams: 2}
		f := &Fetcher{Streams: 8, Pace: pace}
		var mu sync.Mutex
		running, began := 0, 0
		count := func(by int) { mu.Lock(); defer mu.Unlock(); running += by; began += max(by, 0) }
		done := make(chan error, 1)
		go func() {
			done <- f.paced(100, func(int) error {
				count(1)
				time.Sleep(time.Second)
				count(-1)
				return nil
			})
		}()
		for _, step := range []struct{ wanted, running int }{{2, 2}, {5, 5}, {99, 8}, {1, 1}, {3, 3}} {
			pace.set(step.wanted)
			time.Sleep(3 * time.Second)
			synctest.Wait()
			mu.Lock()
			if running != step.running {
				t.Errorf("%d wanted: %d run, want %d", step.wanted, running, step.running)
			}
			mu.Unlock()
		}
		if err := <-done; err != nil || began != 100 || pace.slack != 1 {
			t.Errorf("paced = %v after %d parts, slack was told %d times", err, began, pace.slack)
		}
	})
}

// TestPacedErrors begins nothing more after an error, and prefers one that is no fault of the line.
func TestPacedErrors(t *testing.T) {
	t.Parallel()
	own := errors.New("the disk is full")
	broken := func(i int) error { return fmt.Errorf("%w: stream %d", ErrTransport, i) }
	for name, test := range map[string]struct {
		streams int
		errs    []error
		want    error
		began   int
	}{
		"none":                 {2, []error{nil, nil, nil, nil}, nil, 4},
		"the line broke":       {1, []error{nil, broken(1), nil, nil}, ErrTransport, 2},
		"the disk":             {1, []error{own, nil}, own, 1},
		"the disk, afterwards": {2, []error{broken(0), own, nil, nil}, own, 2},
		"nothing to do":        {2, nil, nil, 0},
	} {
		began := 0
		var mu sync.Mutex
		begun := sync.WaitGroup{}
		begun.Add(min(test.streams, len(test.errs)))
		f := &Fetcher{Streams: test.streams, Pace: &fakePace{streams: test.streams}}
		err := f.paced(len(test.errs), func(i int) error {
			mu.Lock()
			began++
			mu.Unlock()
			if i < test.streams { // all that run at a time have begun before one ends
				begun.Done()
				begun.Wait()
			}
			return test.errs[i]
		})
		if !errors.Is(err, test.want) || test.want == nil && err != nil || began != test.began {
			t.Errorf("%s: %v after %d parts, want %v after %d", name, err, began, test.want, test.began)
		}
	}
}

// TestParts cuts large amounts so that the number of streams can change, and small ones as where it cannot.
func TestParts(t *testing.T) {
	t.Parallel()
	items := func(count int, sizeBytes int64) []Item {
		all := make([]Item, count)
		for i := range all {
			all[i] = Item{Index: int64(i)}
			all[i].Digest.SizeBytes = sizeBytes
		}
		return all
	}
	for _, test := range []struct {
		count, streams int
		sizeBytes      int64
		paced          bool
		want           int
	}{{4096, 4, 20 << 10, true, 4}, {4096, 4, 20 << 10, false, 4}, {100, 4, 64 << 20, false, 4}, {100, 4, 64 << 20, true, 100}, {1, 4, 5 << 30, true, 1}, {0, 4, 0, true, 0}} {
		f := &Fetcher{Streams: test.streams}
		if test.paced {
			f.Pace = &fakePace{}
		}
		if got := len(f.parts(items(test.count, test.sizeBytes))); got != test.want {
			t.Errorf("%d items of %d bytes, paced %v: %d parts, want %d", test.count, test.sizeBytes, test.paced, got, test.want)
		}
	}
}

// TestRefusals tells the pace that the server is busy when it says so twice in a row.
func TestRefusals(t *testing.T) {
	t.Parallel()
	busy := fmt.Errorf("%w: %w", ErrTransport, wire.RetryError(codes.ResourceExhausted, wire.ReasonTryLater, time.Second, "busy"))
	pace := &fakePace{}
	p := &pull{Fetcher: &Fetcher{Pace: pace}}
	for i, step := range []struct {
		err      error
		progress bool
		want     int
	}{{busy, false, 0}, {ErrTransport, false, 0}, {busy, false, 0}, {busy, true, 0}, {busy, false, 0}, {busy, false, 1}, {busy, false, 2}} {
		p.progress = step.progress
		p.noteRefusal(step.err)
		if pace.busy != step.want {
			t.Errorf("step %d: it is told %d times, want %d", i, pace.busy, step.want)
		}
	}
}
