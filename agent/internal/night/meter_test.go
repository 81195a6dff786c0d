package night

import (
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup/agent/internal/fault"
)

// TestMeter passes on to the pace what rounds bring, and leaves out what says nothing of the line.
func TestMeter(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		use  func(m *meter)
		want int // streams afterwards
	}{
		"a round":       {func(m *meter) { m.fetched(1e6); m.lap(at.Add(time.Second), 0) }, 8},
		"files alone":   {func(m *meter) { m.ended(); m.lap(at.Add(time.Second), 0) }, 8},
		"nothing":       {func(m *meter) { m.lap(at.Add(time.Second), 0) }, 4},
		"the end":       {func(m *meter) { m.fetched(1e6); m.Slack(); m.lap(at.Add(time.Second), 0) }, 4},
		"a small batch": {func(m *meter) { m.fetched(1e6); m.Slack(); m.last(at.Add(time.Second)) }, 8},
		"a larger batch": {func(m *meter) {
			m.Slack()
			m.lap(at.Add(time.Second), 0)
			m.fetched(1e6)
			m.last(at.Add(2 * time.Second))
		}, 4},
		"at the limit": {func(m *meter) { m.limiter.SetLimit(1e6); m.fetched(1e6); m.lap(at.Add(time.Second), 0) }, 4},
		"below it":     {func(m *meter) { m.limiter.SetLimit(1e7); m.fetched(1e6); m.lap(at.Add(time.Second), 0) }, 8},
	} {
		n := New(Config{Streams: 64, Limiter: rate.NewLimiter(rate.Inf, 1)})
		test.use(n.newMeter(at))
		if got := n.pace.Streams(); got != test.want {
			t.Errorf("%s: %d streams, want %d", name, got, test.want)
		}
	}
}

// TestSlowDown halves what is fetched at a time for the faults that ask for it.
func TestSlowDown(t *testing.T) {
	t.Parallel()
	for class, want := range map[string]int{"throttle": 2, "local": 2, "other": 4, "capacity": 4} {
		n := New(Config{Streams: 8})
		n.slowDown(fault.Fault{Class: class})
		if got := n.pace.Streams(); got != want {
			t.Errorf("after a fault of class %s: %d streams, want %d", class, got, want)
		}
	}
}
