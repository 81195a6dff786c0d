package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// spaceWatch keeps what was last seen of a destination's space.
type spaceWatch struct {
	mu    sync.Mutex
	space dest.Space
	known bool
	err   error
}

func (w *spaceWatch) get() (dest.Space, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.space, w.known, w.err
}

func (w *spaceWatch) set(space dest.Space, err error) {
	unsupported := errors.Is(err, errors.ErrUnsupported)
	if unsupported {
		err = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.space, w.known, w.err = space, err == nil && !unsupported, err
}

const (
	spaceEvery    = time.Minute
	spacePatience = 30 * time.Second // how long a destination may take to show its space
)

// watchSpace looks at the destination once a minute until ctx ends.
func (d *destination) watchSpace(ctx context.Context) {
	type seen struct {
		space dest.Space
		err   error
	}
	var space look[seen]
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	for {
		s, ok := space.at(ctx, spacePatience, func() seen {
			space, err := d.lookAtSpace(ctx)
			return seen{space, err}
		})
		if !ok {
			s.err = &dest.UnreachableError{Place: d.config.Location(), Cause: fmt.Errorf("it has not answered for %v", spacePatience)}
		}
		if ctx.Err() != nil {
			return
		}
		d.space.set(s.space, s.err)
		if _, known, _ := d.space.get(); known {
			d.night.Circuit.Saw(s.space)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *destination) lookAtSpace(ctx context.Context) (dest.Space, error) {
	place, err := d.store.Open(ctx)
	if err != nil {
		return dest.Space{}, err
	}
	space, err := place.Space(ctx)
	return space, errors.Join(err, place.Close())
}

// look is a look at a destination that may hang, as the kernel lets a share that is gone. One that hangs is the only
// one: it is waited for again, not repeated. It belongs to one goroutine, and f uses nothing that is closed before the
// process ends.
type look[T any] struct {
	answer chan T // of a look that has not come back; nil where there is none
}

// at returns what f returns, and false where that takes longer than patience, or ctx ends first.
func (l *look[T]) at(ctx context.Context, patience time.Duration, f func() T) (T, bool) {
	if l.answer == nil {
		answer := make(chan T, 1)
		l.answer = answer
		go func() { answer <- f() }()
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var none T
	select {
	case v := <-l.answer:
		l.answer = nil
		return v, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return none, false
}
