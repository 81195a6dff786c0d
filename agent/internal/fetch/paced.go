package fetch

import (
	"errors"
	"time"

	"github.com/wolkvox/backup/internal/wire"
)

// Pace says how many streams to use now. Its methods may be called from several goroutines.
type Pace interface {
	// Streams returns how many, at least one.
	Streams() int
	// Busy is told that the server is asked for too much.
	Busy()
	// Slack is told that from now on there are fewer streams than wanted, because little is left to fetch.
	Slack()
}

const (
	// partBytes is how much one stream brings before the number of streams may be another one, where it changes.
	partBytes = 64 << 20
	// paceEvery is how often is looked whether more streams are wanted.
	paceEvery = 100 * time.Millisecond
)

// parts cuts items into what one stream brings: a share of them, or less where the number of streams may change meanwhile.
func (f *Fetcher) parts(items []Item) [][]Item {
	count := f.Streams
	if f.Pace != nil {
		var total int64
		for _, item := range items {
			total += item.Digest.SizeBytes + PerItemBytes
		}
		count = max(count, int(total/partBytes))
	}
	return split(items, count)
}

// paced calls do for 0 to count-1 in this order, as many at a time as the pace wants, and returns when all calls have
// ended. After an error no more begin; an error that is not ErrTransport is returned before one that is.
func (f *Fetcher) paced(count int, do func(i int) error) error {
	ended := make(chan error, count)
	var look <-chan time.Time
	wanted := func() int { return f.Streams }
	if f.Pace != nil {
		tick := time.NewTicker(paceEvery)
		defer tick.Stop()
		look = tick.C
		wanted = func() int { return min(f.Pace.Streams(), f.Streams) }
	}
	var broken, failed error
	next, running, slack := 0, 0, false
	for {
		for ; next < count && running < wanted(); next, running = next+1, running+1 {
			go func(i int) { ended <- do(i) }(next)
		}
		if running == 0 {
			break
		}
		if f.Pace != nil && !slack && next == count && running < wanted() {
			slack = true
			f.Pace.Slack()
		}
		select {
		case err := <-ended:
			running--
			switch {
			case err == nil:
				continue
			case errors.Is(err, ErrTransport) && broken == nil:
				broken = err // the first says what all would say
			case !errors.Is(err, ErrTransport) && failed == nil:
				failed = err
			}
			next = count
		case <-look:
		}
	}
	if failed != nil {
		return failed
	}
	return broken
}

// noteRefusal tells the pace that the server is busy. It says so once while a stream that has just ended still counts: what
// matters is said twice in a row.
func (p *pull) noteRefusal(err error) {
	reason := wire.Reason(err)
	if p.progress || reason != wire.ReasonTryLater && reason != wire.ReasonTooManyCalls {
		p.refusals = 0
		return
	}
	p.refusals++
	if p.refusals > 1 && p.Pace != nil {
		p.Pace.Busy()
	}
}
