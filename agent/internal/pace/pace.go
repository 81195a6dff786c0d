// Package pace decides how many files are fetched and written at a time, by what the line and the place show that they can
// take. It measures nothing itself and reads no clock: its user tells it after each round how much came in how long.
//
// # How
//
// It begins with [First] at a time, or with the most that is allowed where that is less, so that a fast line and a fast
// disk are used at once. While every round brings more than the one before, the number is doubled; after the first
// doubling that brings too little it goes on in steps of one. A step up stays if it brought a twentieth more (or, with many
// at a time, half of what a line that is not full would have brought). When it did not, the step is taken back, and the
// next one that is tried is a step down: it stays if nothing was lost by it, because fewer writers are better for a disk
// with moving heads. So the number settles at the least that fills the line, and a place that becomes slower with more
// writers is left with as many as it is fastest with. Between trials it stays for some rounds.
//
// When the server or the place says that it is asked for too much, or when syncs take twice as long as usual for the same
// amount, the number is halved at once, and for some time it stays below where it was. That is additive increase and
// multiplicative decrease (Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in
// Computer Networks", 1989), with trials in place of losses.
package pace

import (
	"sync"
	"time"
)

// First is how many files are fetched at a time at first.
const First = 4

// Round is what a round brought.
type Round struct {
	Work     int64         // bytes, and for each file what opening one costs in bytes
	Took     time.Duration // of fetching
	SyncTook time.Duration // of making durable what came
	// Slack says that fewer files than wanted were fetched at a time for a part of the round, or that a limit held them up:
	// how much came says nothing.
	Slack bool
}

const (
	trialRounds   = 2                // are looked at together, once the number is not doubled any more
	restTrials    = 3                // for which a number that was found to be right stays
	ceilingTrials = 20               // for which a number that was too much is not tried again
	gain          = 0.05             // what a step up has to bring
	doublingGain  = 0.25             // what doubling has to bring
	loss          = 0.03             // what a step down may lose
	slowSync      = time.Second      // syncs that take less are never slow
	usualWeight   = 1.0 / 8          // of the last round in what syncs usually cost
	minTook       = time.Millisecond // rounds that took less say nothing
)

// Controller decides for one place. It is safe for concurrent use.
type Controller struct {
	mu       sync.Mutex
	most     int
	streams  int
	doubling bool
	from     int     // the number before the trial that goes on; 0 where none does
	rate     float64 // work per second with the number that was last found right; 0 where not known
	rest     int     // trials that are left out
	down     bool    // the next trial is a step down
	ceiling  int     // the most that is tried now
	lowered  int     // trials for which the ceiling is below most
	cut      bool    // it was halved in this round

	work   int64 // of the rounds that are looked at together
	took   time.Duration
	rounds int

	usual float64 // seconds of syncing per unit of work; 0 where not known
}

// New returns a controller that allows most at a time, at least one.
func New(most int) *Controller {
	most = max(most, 1)
	return &Controller{most: most, ceiling: most, streams: min(First, most), doubling: true}
}

// Streams returns how many files to fetch at a time now.
func (c *Controller) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams
}

// Busy says that the server or the place is asked for too much. However often it is said in a round, it counts once.
func (c *Controller) Busy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halve()
}

func (c *Controller) halve() {
	if c.cut {
		return
	}
	c.cut = true
	c.ceiling, c.lowered = max(c.streams-1, 1), ceilingTrials
	c.streams = max(c.streams/2, 1)
	c.doubling, c.down, c.from, c.rate, c.rest = false, false, 0, 0, 0
	c.work, c.took, c.rounds = 0, 0, 0
}

// Measured takes note of what a round brought.
func (c *Controller) Measured(r Round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Work <= 0 {
		return
	}
	if c.slow(r) {
		c.halve()
	}
	if c.cut { // the round was fetched with more
		c.cut = false
		return
	}
	if r.Slack || r.Took < minTook {
		return
	}
	c.work, c.took, c.rounds = c.work+r.Work, c.took+r.Took, c.rounds+1
	if c.rounds < trialRounds && !c.doubling {
		return
	}
	rate := float64(c.work) / c.took.Seconds()
	c.work, c.took, c.rounds = 0, 0, 0
	c.decide(rate)
}

// slow reports whether the round's sync took much longer than usual.
func (c *Controller) slow(r Round) bool {
	cost := r.SyncTook.Seconds() / float64(r.Work)
	slow := c.usual > 0 && r.SyncTook > slowSync && cost > 2*c.usual
	if c.usual == 0 {
		c.usual = cost
	}
	c.usual += (cost - c.usual) * usualWeight
	return slow
}

// decide judges the trial that went on, and begins the next one.
func (c *Controller) decide(rate float64) {
	if c.lowered > 0 {
		if c.lowered--; c.lowered == 0 {
			c.ceiling = c.most
		}
	}
	switch {
	case c.from == 0:
		c.rate = rate
		if c.rest > 0 {
			c.rest--
			return
		}
	case c.streams > c.from:
		wanted := doublingGain
		if !c.doubling {
			wanted = min(gain, 1/float64(2*c.from))
		}
		if rate >= c.rate*(1+wanted) {
			c.rate = rate
		} else if c.streams = c.from; !c.doubling {
			c.rest, c.down = restTrials, true
		}
		c.doubling = c.doubling && c.streams != c.from
	default:
		if rate >= c.rate*(1-loss) {
			c.rate = max(rate, c.rate)
		} else {
			c.streams, c.rest, c.down = c.from, restTrials, false
		}
	}
	c.from = 0
	if c.rest == 0 {
		c.try()
	}
}

// try begins a trial where one is possible.
func (c *Controller) try() {
	next := c.streams + 1
	switch {
	case c.down:
		next = c.streams - 1
	case c.doubling:
		next = 2 * c.streams
	}
	next = max(min(next, c.ceiling), 1)
	if next == c.streams { // there is no way on: the other way after a rest
		c.doubling, c.down, c.rest = false, !c.down, restTrials
		return
	}
	c.from, c.streams = c.streams, next
}
