package night

import (
	"errors"
	"time"
)

// ErrPaused says that a pass ended because somebody has paused the destination. What it had staged by then was taken to its
// end.
var ErrPaused = errors.New("it is paused")

func (n *Night) paused() bool { return n.Paused != nil && n.Paused(n.Now()) }

// paused reports whether nothing more may be taken up because of a pause, also of one that has ended since. A pass that a
// person asked for goes on.
func (p *pass) paused() bool {
	if !p.byItself {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = p.held || p.night.paused()
	return p.held
}

func (n *Night) setRest(until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.restUntil = until
}

// RestLeft returns how long no pass begins by itself because the last ones met faults, by this process's own uptime.
func (n *Night) RestLeft() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return max(time.Until(n.restUntil), 0)
}

// A pass is measured where it fetched so much, or for so long: of less, most of the time is spent on other things.
const (
	minMeasuredBytes = 16 << 20
	minMeasuredTime  = 10 * time.Second
)

// measure tells at which rate a pass fetched, from its begin to its end.
func (n *Night) measure(fetchedBytes int64, took time.Duration) {
	if n.Measured == nil || fetchedBytes == 0 || took <= 0 || fetchedBytes < minMeasuredBytes && took < minMeasuredTime {
		return
	}
	n.Measured(int64(float64(fetchedBytes) / took.Seconds()))
}
