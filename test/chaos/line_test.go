//go:build linux && peers

package chaos

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// patience bounds how long a night may take on a line that is disturbed.
const patience = 2 * time.Minute

// TestLine disturbs the line while recordings are on their way. Nothing but whole, right files is ever visible, and all
// arrives when the line is well again.
func TestLine(t *testing.T) {
	for _, test := range []struct {
		name    string
		disturb func(l *fleet.Line, random *rand.Rand)
	}{
		{"cut", func(l *fleet.Line, _ *rand.Rand) { l.Cut() }},
		{"closed for a while", func(l *fleet.Line, random *rand.Rand) {
			l.Close()
			time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
			l.Open()
		}},
		{"stalled for a while", func(l *fleet.Line, random *rand.Rand) {
			l.Stall(true)
			time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
			l.Stall(false)
		}},
		{"stalled, then cut", func(l *fleet.Line, random *rand.Rand) {
			l.Stall(true)
			time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
			l.Cut()
			l.Stall(false)
		}},
		{"bits flipped", func(l *fleet.Line, random *rand.Rand) {
			before := l.Flipped()
			l.Flip(1)
			for deadline := time.Now().Add(10 * time.Second); l.Flipped() == before && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			f := fleet.New(t, fleet.Options{})
			f.Record(t, 1, 200, 4, 20_000)
			f.Record(t, 2, 4, 4, 700_000)
			f.Seal(t)
			watch := fleet.NewWatch(t, f.Destination, f.Wanted)
			f.Line.Slow(1_500_000)
			f.Agent.Start(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				runUntilComplete(t, f)
			}()
			const disturbances = 10
			for range disturbances {
				before := f.Line.Carried()
				for deadline := time.Now().Add(patience); f.Line.Carried()-before < 100<<10 && time.Now().Before(deadline); {
					time.Sleep(time.Millisecond)
				}
				test.disturb(f.Line, random)
			}
			f.Line.Slow(0)
			<-done
			if test.name == "bits flipped" && f.Line.Flipped() < disturbances {
				t.Errorf("%d bits were flipped, want %d", f.Line.Flipped(), disturbances)
			}
			f.CheckSums(t)
			f.CheckComplete(t)
			if _, problems := watch.Stop(t); len(problems) > 0 {
				t.Errorf("watch: %q", problems)
			}
		})
	}
}

// runUntilComplete has the running agent make passes until one is complete.
func runUntilComplete(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		complete, message, err := f.Agent.RunNow(t.Context())
		if complete {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("not complete after %s: %q, %v\n%s", patience, message, err, fleet.Tail(f.Agent.Log))
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
