package contentrpc

import (
	"context"
	"sync"
	"time"
)

// pace spreads bytes over time. Its methods may be called concurrently.
type pace struct {
	bytesPerSecond int64 // 0 is no limit

	mu   sync.Mutex // guards next
	next time.Time  // when the bytes let through so far are used up
}

// wait lets n bytes through, when it is their turn, and none for a call that is over: its error is the context's cause then.
func (p *pace) wait(ctx context.Context, n int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p.bytesPerSecond == 0 {
		return nil
	}
	now := time.Now()
	p.mu.Lock()
	if p.next.Before(now) {
		p.next = now
	}
	turn := p.next
	took := time.Duration(float64(n) / float64(p.bytesPerSecond) * float64(time.Second))
	p.next = turn.Add(took)
	p.mu.Unlock()
	timer := time.NewTimer(turn.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		p.mu.Lock()
		p.next = p.next.Add(-took) // what was not sent takes nobody's time
		p.mu.Unlock()
		return context.Cause(ctx)
	}
}
