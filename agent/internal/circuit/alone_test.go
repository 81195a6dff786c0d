package circuit

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wolkvox/backup/agent/internal/fault"
)

// TestSlowRefusal tries a wrong password once, however long the server takes to refuse it.
func TestSlowRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{err: password(), takes: 2 * time.Minute}
		b := breaker(p)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if _, err := b.Open(t.Context()); fault.Of(err).Class != fault.ClassCredential {
					t.Error(err)
				}
			})
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(time.Millisecond)
		began := time.Now()
		if _, err := b.Open(impatient); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 2*time.Second {
			t.Errorf("of one that does not wait so long: %v after %v", err, time.Since(began))
		}
		group.Wait()
		if p.tries != 1 {
			t.Errorf("the password was tried %d times", p.tries)
		}
	})
}

// TestHanging does not wait for ever for one that hangs in the kernel, and lets one try after the other.
func TestHanging(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{takes: time.Hour}
		b := breaker(p)
		var group sync.WaitGroup
		group.Go(func() { b.Open(t.Context()) })
		time.Sleep(time.Second)
		p.mu.Lock()
		p.takes = time.Second
		p.mu.Unlock()
		began := time.Now()
		for range 5 {
			group.Go(func() {
				if _, err := b.Open(t.Context()); err != nil || time.Since(began) > alonePatience+10*time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		}
		group.Wait()
		if p.most != 2 {
			t.Errorf("%d at once, want the one that hangs and one more", p.most)
		}
	})
}
