package circuit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
)

// place is a destination whose opening ends as the test says, after a while.
type place struct {
	mu    sync.Mutex
	err   error
	takes time.Duration
	tries int
	most  int // at once
	now   int
}

func (p *place) Open(ctx context.Context) (dest.Driver, error) {
	p.mu.Lock()
	p.tries++
	p.now++
	p.most = max(p.most, p.now)
	err, takes := p.err, p.takes
	p.mu.Unlock()
	time.Sleep(takes)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now--
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, err
}

func (p *place) answer(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func errno(number int64) error {
	return &dest.CodeError{Space: dest.SpaceErrno, Number: number, Cause: fmt.Errorf("errno %d", number)}
}

func password() error {
	return &dest.UnreachableError{Place: "nas", Cause: &dest.CodeError{Space: dest.SpaceNTStatus, Number: 0xC000006D, Cause: errors.New("logon")}}
}

func lost() error { return &dest.UnreachableError{Place: "nas", Cause: errno(113)} }

// breaker waits the whole bound, without jitter's luck.
func breaker(p *place) *Breaker {
	return New(p, fault.Teller{}, func(n time.Duration) time.Duration { return n - n/8 })
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{err: password(), takes: time.Second}
		b := breaker(p)
		var group sync.WaitGroup
		for range 20 { // the watch, the night and all others at once
			group.Go(func() {
				if _, err := b.Open(t.Context()); err == nil {
					t.Error("opened with a wrong password")
				}
			})
		}
		group.Wait()
		if p.tries != 1 {
			t.Errorf("the password was tried %d times", p.tries)
		}
		for range 120 { // two hours of a look a minute
			time.Sleep(time.Minute)
			_, err := b.Open(t.Context())
			if f := fault.Of(err); f.Class != fault.ClassCredential {
				t.Fatalf("%v is %+v", err, f)
			}
		}
		if p.tries < 4 || p.tries > 6 {
			t.Errorf("the password was tried %d times in two hours", p.tries)
		}
		// A person may try at once, and success closes.
		p.answer(nil)
		if _, err := b.Open(Force(t.Context())); err != nil {
			t.Fatal(err)
		}
		if _, open := b.State(); open || b.Left() != 0 {
			t.Error("still open after a success")
		}
	})
}

// TestUnpaid tries to write once an hour where a subscription is disabled, which can be read all the time.
func TestUnpaid(t *testing.T) {
	t.Parallel()
	disabled := &dest.CodeError{Space: dest.SpaceAzure, Name: "AccountIsDisabled", Number: 403, Cause: errors.New("put a blob")}
	synctest.Test(t, func(t *testing.T) {
		b := breaker(&place{})
		var tries []time.Time
		for range 24 * 60 {
			if _, err := b.Open(t.Context()); err != nil {
				t.Fatalf("it is not read any more: %v", err)
			}
			if b.Left() == 0 {
				tries = append(tries, time.Now())
				if !b.Record(disabled) {
					t.Fatal("it is not left alone")
				}
			}
			time.Sleep(time.Minute)
		}
		if len(tries) != 24 {
			t.Errorf("a day had %d tries: %v", len(tries), tries)
		}
		for b.Left() > 0 {
			time.Sleep(time.Minute)
		}
		if b.Record(nil); b.Left() != 0 {
			t.Error("still left alone after a success")
		}
	})
}

// TestCredentialLimit keeps to three tries an hour, even where the place is good in between.
func TestCredentialLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{}
		b := breaker(p)
		var tries []time.Time
		for range 600 {
			time.Sleep(time.Minute)
			before := p.tries
			p.answer(nil)
			b.Open(t.Context())
			p.answer(password())
			b.Open(t.Context())
			if p.tries == before+2 || p.tries == before+1 && b.Left() > 0 {
				tries = append(tries, time.Now())
			}
		}
		for i := 3; i < len(tries); i++ {
			if tries[i].Sub(tries[i-3]) < time.Hour {
				t.Fatalf("four wrong tries within %v", tries[i].Sub(tries[i-3]))
			}
		}
		if len(tries) < 5 {
			t.Errorf("only %d tries in ten hours", len(tries))
		}
	})
}

func TestLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{err: lost()}
		b := breaker(p)
		b.Open(t.Context())
		began := time.Now()
		var at []time.Duration
		for time.Since(began) < time.Hour {
			if wait := b.Left(); wait > 0 {
				_, err := b.Open(t.Context())
				var open *OpenError
				if !errors.As(err, &open) || !errors.Is(err, dest.ErrUnreachable) || time.Until(open.NextTry) != wait || !open.Since.Equal(began) {
					t.Fatalf("%v, left %v", err, wait)
				}
				time.Sleep(wait)
			}
			at = append(at, time.Since(began))
			if _, err := b.Open(t.Context()); errors.As(err, new(*OpenError)) {
				t.Fatalf("not tried at the time of the next try: %v", err)
			}
		}
		want := []time.Duration{1, 3, 7, 15, 30, 45, 60}
		for i := range want {
			want[i] *= time.Minute
		}
		if fmt.Sprint(at) != fmt.Sprint(want) {
			t.Errorf("tried at %v, want %v", at, want)
		}
		if p.tries != len(want)+1 {
			t.Errorf("%d tries", p.tries)
		}
		time.Sleep(b.Left())
		p.answer(nil)
		if _, err := b.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.answer(lost())
		b.Open(t.Context())
		if got := b.Left(); got != time.Minute {
			t.Errorf("after a success the first wait is %v", got)
		}
	})
}

// TestHalfOpen lets one caller through, and the others not, until it is known what became of it.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{err: lost()}
		b := breaker(p)
		b.Open(t.Context())
		time.Sleep(b.Left())
		p.mu.Lock()
		p.err, p.takes = nil, 20*time.Second
		p.mu.Unlock()
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := b.Open(t.Context()); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		for range 5 {
			if _, err := b.Open(t.Context()); !errors.As(err, new(*OpenError)) {
				t.Errorf("a second caller was let through: %v", err)
			}
		}
		group.Wait()
		if _, err := b.Open(t.Context()); err != nil || p.tries != 3 {
			t.Errorf("%v, %d tries", err, p.tries)
		}
	})
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{takes: time.Second, err: lost()}
		b := breaker(p)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		b.Open(ctx)
		if _, open := b.State(); open {
			t.Error("a caller's own end opened the circuit")
		}
		if b.Record(fmt.Errorf("write: %w", context.Canceled)) {
			t.Error("a caller's own end opened the circuit")
		}
	})
}

func TestRecord(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		err   error
		after int // faults in a row until it is left alone; 0 for never
		waits time.Duration
	}{
		{"full", errno(28), 1, time.Minute},
		{"quota", errno(122), 1, time.Minute},
		{"read-only", errno(30), 3, time.Hour},
		{"permission", errno(13), 3, time.Hour},
		{"disk", errno(5), 3, time.Minute},
		{"read-back", dest.ErrReadBack, 3, time.Minute},
		{"odd", errors.New("odd"), 3, time.Minute},
		{"clock", &dest.CodeError{Space: dest.SpaceNTStatus, Number: 0xC0000133, Cause: errors.New("skew")}, 1, 10 * time.Minute},
		{"one file too large", errno(27), 0, 0},
		{"one file missing", errno(2), 0, 0},
		{"conflict", dest.ErrConflict, 0, 0},
		{"name", dest.ErrName, 0, 0},
		{"busy", errno(16), 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &place{}
				b := breaker(p)
				opened := 0
				for i := 1; i <= 5 && opened == 0; i++ {
					if b.Record(test.err) {
						opened = i
					}
				}
				if opened != test.after || b.Left() != test.waits {
					t.Fatalf("left alone after %d for %v, want %d for %v", opened, b.Left(), test.after, test.waits)
				}
				// Looking goes on, and does not close.
				if _, err := b.Open(t.Context()); err != nil || b.Left() != test.waits {
					t.Errorf("%v, left %v", err, b.Left())
				}
				if b.Record(nil); b.Left() != 0 {
					t.Error("not closed by a success")
				}
				// What succeeds in between ends the row.
				for range 2 {
					if test.after == 3 && b.Record(test.err) {
						t.Error("left alone after faults that were not in a row")
					}
					b.Answered()
				}
			})
		})
	}
}

// TestPasswordInWork refuses to open after a password was refused in the midst of work, also while an older handle still works.
func TestPasswordInWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{}
		b := breaker(p)
		b.Record(password())
		b.Record(nil)
		b.Record(errno(104))
		if _, err := b.Open(t.Context()); !errors.As(err, new(*OpenError)) || p.tries != 0 || b.Left() != 30*time.Minute {
			t.Errorf("%v, %d tries, left %v", err, p.tries, b.Left())
		}
	})
}

func TestTrip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker(&place{})
		if b.Trip(dest.ErrReadBack); b.Left() != time.Minute {
			t.Errorf("left %v", b.Left())
		}
		time.Sleep(b.Left())
		if !b.Record(dest.ErrReadBack) || b.Left() != 2*time.Minute {
			t.Errorf("after another fault left %v", b.Left())
		}
	})
}

func TestRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker(&place{})
		if b.Saw(dest.Space{}); b.Left() != 0 {
			t.Error("a look opened the circuit")
		}
		b.Record(errno(28))
		b.Need(dest.Space{FreeBytes: 100, FreeInodes: 10})
		for _, little := range []dest.Space{{FreeBytes: 99, FreeInodes: 20}, {FreeBytes: 200, FreeInodes: 9}, {FreeBytes: 0, FreeInodes: -1}} {
			for range 60 {
				time.Sleep(time.Minute)
				if b.Saw(little); b.Left() < time.Second {
					t.Fatalf("tried with %+v", little)
				}
				if state, open := b.State(); !open || !state.NextTry.After(time.Now()) {
					t.Fatalf("%+v", state)
				}
			}
		}
		if b.Saw(dest.Space{FreeBytes: 100, FreeInodes: -1}); b.Left() != 0 {
			t.Errorf("there is room, and it is left alone for %v", b.Left())
		}
		// What does not show in the free space, as a quota, is tried seldom.
		b.Record(errno(122))
		b.Need(dest.Space{FreeBytes: 100, FreeInodes: -1})
		b.Saw(dest.Space{FreeBytes: 1000, FreeInodes: -1})
		if b.Left() < time.Minute/8 {
			t.Errorf("tried at once though nothing changed, left %v", b.Left())
		}
	})
}

func TestWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for language, words := range map[fault.Language]string{fault.English: "next try at", fault.Spanish: "próximo intento"} {
			b := New(&place{err: lost()}, fault.Teller{Language: language, Place: "/mnt/nas"}, nil)
			b.Open(t.Context())
			_, err := b.Open(t.Context())
			if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "/mnt/nas") {
				t.Errorf("%v", err)
			}
			if f := (fault.Teller{}).Of(fmt.Errorf("space: %w", err)); f.Class != fault.ClassDestLost || f.Code != "EHOSTUNREACH" || !strings.Contains(f.Message, words) {
				t.Errorf("%+v", f)
			}
		}
	})
}
