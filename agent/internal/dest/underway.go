package dest

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Underway is what a stage still does for files that were closed. The zero value is nothing. It is safe for concurrent use:
// unlike with a sync.WaitGroup, work may begin while somebody waits for what began before.
type Underway struct {
	mu    sync.Mutex
	works map[chan struct{}]struct{} // each closed when its work has ended
}

// Go begins work in a goroutine of its own.
func (u *Underway) Go(work func()) {
	done := make(chan struct{})
	u.mu.Lock()
	if u.works == nil {
		u.works = make(map[chan struct{}]struct{})
	}
	u.works[done] = struct{}{}
	u.mu.Unlock()
	go func() {
		work()
		u.mu.Lock()
		delete(u.works, done)
		u.mu.Unlock()
		close(done)
	}()
}

// Wait returns when all work that began before the call has ended, or with the cause of ctx's end.
func (u *Underway) Wait(ctx context.Context) error {
	u.mu.Lock()
	works := slices.Collect(maps.Keys(u.works))
	u.mu.Unlock()
	for _, done := range works {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
