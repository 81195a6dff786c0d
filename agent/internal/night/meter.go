package night

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/fetch"
	"github.com/wolkvox/backup/agent/internal/pace"
)

// meter tells the pace of the night what the rounds of one batch bring. It implements [fetch.Pace]; lap is called by the
// goroutine of the rounds.
type meter struct {
	*pace.Controller
	limiter *rate.Limiter // nil for no limit
	came    atomic.Int64  // work since the last lap
	slack   atomic.Bool
	began   time.Time // of the lap
	laps    int
}

func (n *Night) newMeter(at time.Time) *meter {
	return &meter{Controller: n.pace, limiter: n.Limiter, began: at}
}

// Slack implements [fetch.Pace].
func (m *meter) Slack() { m.slack.Store(true) }

// fetched counts bytes that came.
func (m *meter) fetched(sizeBytes int64) { m.came.Add(sizeBytes) }

// ended counts a file that came to its end.
func (m *meter) ended() { m.came.Add(fetch.PerItemBytes) }

// lap ends a round, whose sync took so long.
func (m *meter) lap(at time.Time, syncTook time.Duration) {
	r := pace.Round{Work: m.came.Swap(0), Took: at.Sub(m.began), SyncTook: syncTook}
	m.began = at
	m.laps++
	r.Slack = m.slack.Load() || m.limited(r)
	m.Measured(r)
}

// last ends a batch so small that it had no round while it was fetched.
func (m *meter) last(at time.Time) {
	if m.laps == 0 {
		m.slack.Store(false) // for a moment at its end only
		m.lap(at, 0)
	}
}

// limited reports whether what came is about what the limit lets through.
func (m *meter) limited(r pace.Round) bool {
	return m.limiter != nil && m.limiter.Limit() != rate.Inf && float64(r.Work) >= 0.8*float64(m.limiter.Limit())*r.Took.Seconds()
}

// slowDown has less fetched at a time where that is what the fault asks for.
func (n *Night) slowDown(f fault.Fault) {
	if f.Class == fault.ClassThrottle || f.Class == fault.ClassLocal {
		n.pace.Busy()
	}
}
