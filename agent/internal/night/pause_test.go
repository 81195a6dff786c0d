package night

import (
	"testing"
	"time"
)

// TestNextPause: rounds are soon at first, and fewer where they take long.
func TestNextPause(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, c := range []struct{ pause, took, want time.Duration }{
		{firstRound, s / 10, 2 * s},
		{8 * s, s / 10, 10 * s},
		{10 * s, 2 * s, 10 * s},
		{firstRound, 3 * s, 12 * s},
		{10 * s, 5 * s, 20 * s},
		{10 * s, 300 * s, 60 * s},
		{60 * s, s, 10 * s},
	} {
		if got := nextPause(c.pause, c.took); got != c.want {
			t.Errorf("nextPause(%v, %v) = %v, want %v", c.pause, c.took, got, c.want)
		}
	}
}
