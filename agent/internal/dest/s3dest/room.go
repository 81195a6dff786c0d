package s3dest

import "context"

const (
	// roomBytes bounds what one handle has in memory of files on their way.
	roomBytes = 48 << 20
	// unitBytes is what is counted in; each file takes at least one.
	unitBytes = 64 << 10
)

// room is memory that is taken before it is filled.
type room struct {
	turn  chan struct{} // held by the one who takes: two could each have half of what they need
	units chan struct{} // holds one for each unit that is taken
}

func newRoom(bytes int64) *room {
	return &room{turn: make(chan struct{}, 1), units: make(chan struct{}, bytes/unitBytes)}
}

// units is what n bytes take.
func units(n int64) int { return max(int((n+unitBytes-1)/unitBytes), 1) }

// take waits until there is room for n bytes.
func (r *room) take(ctx context.Context, n int64) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for i := range units(n) {
		select {
		case r.units <- struct{}{}:
		case <-ctx.Done():
			r.give(i)
			return context.Cause(ctx)
		}
	}
	return nil
}

// leave gives back what take took for n bytes.
func (r *room) leave(n int64) { r.give(units(n)) }

func (r *room) give(count int) {
	for range count {
		<-r.units
	}
}
