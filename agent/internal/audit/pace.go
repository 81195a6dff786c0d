package audit

import (
	"context"
	"fmt"

	"golang.org/x/time/rate"
)

// Pay waits until so many bytes may be read. It is called before they are, so that what was read never exceeds what was paid for.
// A nil limiter lets all through.
func Pay(ctx context.Context, limiter *rate.Limiter, sizeBytes int64) error {
	if limiter == nil || limiter.Limit() == rate.Inf {
		return ctx.Err()
	}
	for sizeBytes > 0 {
		part := min(sizeBytes, int64(limiter.Burst()))
		if err := limiter.WaitN(ctx, int(part)); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("wait until %d bytes may be read: %w", part, err)
		}
		sizeBytes -= part
	}
	return nil
}

// burstBytes is what may be read at once where a rate is set.
const burstBytes = 1 << 20

// NewLimiter returns a limiter for so many bytes per second; nil, for no limit, where that is 0.
func NewLimiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), burstBytes)
}
