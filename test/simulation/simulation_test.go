package simulation

import (
	"flag"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

var (
	scheduleFlag = flag.String("schedule", "", "run this schedule instead of random ones")
	seedFlag     = flag.Uint64("seed", 0, "run the schedule of this seed instead of random ones")
	countFlag    = flag.Int("schedules", 100, "how many random schedules are run")
	showsFlag    = flag.String("shows", "", "what a violation has to say")
	withinFlag   = flag.Duration("within", time.Minute, "how long schedules run until one shows it")
	verboseFlag  = flag.Bool("log", false, "show what agents and server log")
)

func testLogger() *slog.Logger {
	if *verboseFlag {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

func TestSchedules(t *testing.T) {
	began := time.Now()
	if *scheduleFlag != "" {
		s, err := parseSchedule(*scheduleFlag)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(run(t, s, false, testLogger()))
		return
	}
	if *seedFlag != 0 {
		s := generate(*seedFlag)
		t.Log(s)
		t.Log(run(t, s, false, testLogger()))
		return
	}
	first := uint64(time.Now().UnixNano())
	found, seen := map[string]int{}, map[string]int{}
	for seed := first; seed < first+uint64(*countFlag); seed++ {
		s := generate(seed)
		r := run(t, s, false, testLogger())
		for what, n := range r.seen {
			seen[what] += n
		}
		for _, v := range r.violations {
			if found[v]++; found[v] == 1 {
				t.Errorf("seed %d: %s\n  %s", seed, v, s)
			}
		}
	}
	t.Log(found, seen, time.Since(began)/time.Duration(*countFlag))
}

// TestShows runs schedules until one violates what -shows says. It is how a rule left out of the product is noticed.
func TestShows(t *testing.T) {
	given, err := parseSchedule(*scheduleFlag)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	found := map[string]int{}
	count := 0
	for seed := uint64(1); time.Since(began) < *withinFlag; seed++ {
		s := given
		if len(s) == 0 {
			s = generate(seed)
		}
		count++
		for _, v := range run(t, s, false, testLogger()).violations {
			if found[v]++; found[v] == 1 {
				t.Logf("schedule %d, after %v: %s\n  %s", count, time.Since(began).Round(time.Second), v, s)
			}
			if *showsFlag != "" && strings.Contains(v, *showsFlag) {
				return
			}
		}
	}
	t.Errorf("%d schedules did not show %q, but %v", count, *showsFlag, found)
}
