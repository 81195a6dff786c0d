package uplink

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// Backoff spaces attempts: full jitter below a bound that doubles from Base to Max. It belongs to one goroutine.
type Backoff struct {
	Base, Max time.Duration
	attempts  int
}

// Reset begins again at Base.
func (b *Backoff) Reset() { b.attempts = 0 }

// Attempts is how often Wait was called since the start or the last Reset.
func (b *Backoff) Attempts() int { return b.attempts }

// Wait sleeps before the next attempt, at least as long as the server asked for in err (RetryInfo). It returns the
// context's error if that ends first.
func (b *Backoff) Wait(ctx context.Context, err error) error {
	bound := b.Base << min(b.attempts, 20)
	if bound > b.Max || bound <= 0 {
		bound = b.Max
	}
	b.attempts++
	delay := rand.N(bound) + bound/8
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			delay = max(delay, info.GetRetryDelay().AsDuration())
		}
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
