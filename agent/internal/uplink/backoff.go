package uplink

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/wolkvox/backup/internal/wire"
)

// maxAsked is the longest that the server can make the agent wait with one answer.
const maxAsked = 15 * time.Minute

// Backoff spaces attempts: a random part of a bound that doubles from Base to Max, and an eighth of it. It belongs to one goroutine.
type Backoff struct {
	Base, Max time.Duration
	attempts  int
}

// Reset begins again at Base.
func (b *Backoff) Reset() { b.attempts = 0 }

// Attempts is how often Wait was called since the start or the last Reset.
func (b *Backoff) Attempts() int { return b.attempts }

// Wait sleeps before the next attempt, at least as long as the server asked for in err (RetryInfo), up to 15 minutes.
// It returns the context's cause if that ends first.
func (b *Backoff) Wait(ctx context.Context, err error) error { return b.WaitOr(ctx, err, nil) }

// WaitOr is [Backoff.Wait] that wake ends early: somebody wants to know now. The next wait is then the first again.
func (b *Backoff) WaitOr(ctx context.Context, err error, wake <-chan struct{}) error {
	bound := b.Base << min(b.attempts, 20)
	if bound > b.Max || bound <= 0 {
		bound = b.Max
	}
	b.attempts++
	delay := rand.N(bound)
	if asked, ok := wire.RetryAfter(err); ok {
		delay += min(asked, maxAsked)
	} else {
		delay += bound / 8
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-wake:
		b.Reset()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
