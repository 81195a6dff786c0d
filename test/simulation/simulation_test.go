package simulation

import (
	"flag"
	"log/slog"
	"os"
	"slices"
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
	shrinkFlag   = flag.Duration("shrink", 30*time.Second, "how long a schedule that fails is shrunk")
	verboseFlag  = flag.Bool("log", false, "show what agents and server log")
)

func testLogger() *slog.Logger {
	if *verboseFlag {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// TestSchedules runs random schedules, or the one that a flag names.
func TestSchedules(t *testing.T) {
	given, err := parseSchedule(*scheduleFlag)
	if err != nil {
		t.Fatal(err)
	}
	first, count := uint64(time.Now().UnixNano()), *countFlag
	if *seedFlag != 0 || len(given) > 0 {
		first, count = *seedFlag, 1
	}
	t.Logf("the first seed is %d", first)
	began := time.Now()
	known, seen := map[string]bool{}, map[string]int{}
	for seed := first; seed < first+uint64(count); seed++ {
		s := given
		if len(s) == 0 {
			s = generate(seed)
		}
		r := run(t, s, false, testLogger())
		for what, n := range r.seen {
			seen[what] += n
		}
		for _, v := range r.violations {
			if t.Errorf("seed %d: %s", seed, v); !known[kindOf(v)] {
				known[kindOf(v)] = true
				report(t, s, v)
			}
		}
	}
	t.Logf("%d schedules in %v, came about: %v", count, time.Since(began).Round(time.Millisecond), seen)
}

// kindOf leaves out of a violation what differs from run to run.
func kindOf(violation string) string {
	kind, _, _ := strings.Cut(violation, " (")
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, kind)
}

// report shrinks a schedule as far as it can in a short time, and says how to run it again.
func report(t *testing.T, s schedule, violation string) {
	t.Helper()
	began := time.Now()
	shorter := shrink(s, func(s schedule) bool {
		return time.Since(began) < *shrinkFlag && slices.ContainsFunc(run(t, s, false, testLogger()).violations, func(v string) bool { return kindOf(v) == kindOf(violation) })
	})
	t.Logf("shrunk from %d to %d steps; run it again with\n  go test ./test/simulation -run TestSchedules -schedule '%s'", len(s), len(shorter), shorter)
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
