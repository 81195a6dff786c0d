package pace

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// round is one of a second that brought so much.
func round(work int64) Round { return Round{Work: work, Took: time.Second} }

func TestSteps(t *testing.T) {
	t.Parallel()
	sync := func(work int64, took time.Duration) Round {
		return Round{Work: work, Took: time.Second, SyncTook: took}
	}
	for name, test := range map[string]struct {
		most   int
		rounds []any // Round, or "busy"
		want   []int // the number at first and after each
	}{
		"one is the least":              {0, []any{round(10), "busy"}, []int{1, 1, 1}},
		"it begins with what is set":    {3, nil, []int{3}},
		"it does not begin with all":    {64, nil, []int{4}},
		"doubling while it grows":       {64, []any{round(400), round(800), round(1600), round(1700)}, []int{4, 8, 16, 32, 17}},
		"doubling stops at the most":    {10, []any{round(400), round(800)}, []int{4, 8, 10}},
		"a step that brings nothing":    {9, []any{round(400), round(400), round(400), round(400)}, []int{4, 8, 5, 5, 4}},
		"nothing to try":                {1, []any{round(5), round(5), round(9)}, []int{1, 1, 1, 1}},
		"busy halves":                   {64, []any{round(400), "busy", round(400), round(400)}, []int{4, 8, 4, 4, 4}},
		"busy counts once a round":      {64, []any{round(400), "busy", "busy", round(10), "busy"}, []int{4, 8, 4, 4, 4, 2}},
		"a round of nothing is no word": {64, []any{Round{}, Round{Work: 5}, Round{Work: 5, Took: time.Second, Slack: true}}, []int{4, 4, 4, 4}},
		"syncs that take long":          {64, []any{sync(400, 600*time.Millisecond), sync(800, 3*time.Second)}, []int{4, 8, 4}},
		"syncs of more take longer":     {64, []any{sync(400, 600*time.Millisecond), sync(8000, 12*time.Second)}, []int{4, 8, 16}},
		"short syncs are never slow":    {64, []any{sync(400, 10*time.Millisecond), sync(800, 900*time.Millisecond)}, []int{4, 8, 16}},
	} {
		c := New(test.most)
		got := []int{c.Streams()}
		for _, r := range test.rounds {
			if measured, ok := r.(Round); ok {
				c.Measured(measured)
			} else {
				c.Busy()
			}
			got = append(got, c.Streams())
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// simulate has rounds of a second and returns the average number over the second half of them. bring returns what a round
// brings with a number, and how long its sync takes; busy whether the answer is that it was too much.
func simulate(t *testing.T, most int, noise float64, bring func(streams int) (work float64, sync time.Duration, busy bool)) float64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := New(most)
	const rounds = 4000
	sum := 0
	for i := range rounds {
		streams := c.Streams()
		if streams < 1 || streams > most {
			t.Fatalf("%d streams of at most %d", streams, most)
		}
		work, sync, busy := bring(streams)
		if busy {
			c.Busy()
		}
		c.Measured(Round{Work: int64(1e6 * work * (1 + noise*(2*random.Float64()-1))), Took: time.Second, SyncTook: sync})
		if i >= rounds/2 {
			sum += streams
		}
	}
	return float64(sum) / (rounds / 2)
}

// TestLine is a line that is full with so many streams: it settles there, whether that is more or less than it began with.
func TestLine(t *testing.T) {
	t.Parallel()
	for _, full := range []int{1, 2, 3, 4, 6, 8, 12} {
		got := simulate(t, 64, 0.02, func(streams int) (float64, time.Duration, bool) {
			return float64(min(streams, full)), 0, false
		})
		if got < float64(full-1) || got > float64(full+1) {
			t.Errorf("a line that %d streams fill has %.2f on average", full, got)
		}
	}
}

// TestAtMost never has more than the configuration allows, however wide the line.
func TestAtMost(t *testing.T) {
	t.Parallel()
	got := simulate(t, 8, 0.02, func(streams int) (float64, time.Duration, bool) { return float64(streams), 0, false })
	if got < 7 {
		t.Errorf("a line that is never full has %.2f of 8 streams on average", got)
	}
}

// TestSlowingNAS is a place that becomes slower with more than so many writers.
func TestSlowingNAS(t *testing.T) {
	t.Parallel()
	for _, best := range []int{2, 3, 5, 8} {
		got := simulate(t, 64, 0.02, func(streams int) (float64, time.Duration, bool) {
			work := float64(min(streams, best))
			for range streams - best {
				work *= 0.85
			}
			return work, time.Duration(float64(400*time.Millisecond) * float64(streams)), false
		})
		if got < float64(best-1) || got > float64(best+1) {
			t.Errorf("a place that is best with %d writers has %.2f on average", best, got)
		}
	}
}

// TestServerAllows is a server that serves so many streams and tells others to come back.
func TestServerAllows(t *testing.T) {
	t.Parallel()
	const allowed = 6
	busy, rounds := 0, 0
	got := simulate(t, 64, 0.02, func(streams int) (float64, time.Duration, bool) {
		rounds++
		if streams > allowed {
			busy++
		}
		return float64(min(streams, allowed)), 0, streams > allowed
	})
	if got < allowed-1.5 || got > allowed || busy*10 > rounds {
		t.Errorf("of a server that allows %d it has %.2f on average, and is told to come back in %d of %d rounds", allowed, got, busy, rounds)
	}
}

// TestRecovers takes up all again after a line was bad for some time.
func TestRecovers(t *testing.T) {
	t.Parallel()
	c := New(16)
	width := 10
	run := func(rounds int) {
		for range rounds {
			c.Measured(round(int64(1000 * min(c.Streams(), width))))
		}
	}
	run(300)
	width = 2
	run(300)
	if got := c.Streams(); got > 3 {
		t.Errorf("%d streams on a line that 2 fill", got)
	}
	width = 10
	run(300)
	if got := c.Streams(); got < 9 || got > 11 {
		t.Errorf("%d streams on a line that 10 fill again", got)
	}
}
