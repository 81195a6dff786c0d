package simulation

import (
	"flag"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	scheduleFlag  = flag.String("schedule", "", "run this schedule instead of random ones")
	seedFlag      = flag.Uint64("seed", 0, "run the schedule of this seed instead of random ones")
	schedulesFlag = flag.Int("schedules", 0, "how many schedules TestMany runs")
	soakFlag      = flag.Duration("soak", 0, "for how long TestSoak runs new schedules")
	shrinkFlag    = flag.Duration("shrink", 30*time.Second, "how long a schedule that fails is shrunk")
	showsFlag     = flag.String("shows", "", "what a violation has to say")
	withinFlag    = flag.Duration("within", time.Minute, "how long schedules run until one shows it")
	verboseFlag   = flag.Bool("log", false, "show what agents and server log")
)

func testLogger() *slog.Logger {
	if *verboseFlag {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// atOnce is how many schedules run at a time.
const atOnce = 2

// firstSeed is where all tests but TestSoak begin: they run the same schedules every time, so that they fail because of
// what was changed.
const firstSeed = 1

// endless is how many schedules run where the time bounds them.
const endless = math.MaxInt

// TestSchedules runs the schedules of some seconds, or the one that a flag names.
func TestSchedules(t *testing.T) { explore(t, false, firstSeed, 40, 24*time.Hour) }

// TestMany runs as many schedules as -schedules says. All that the protocol has an answer for has to come about in them. Without
// -schedules there is nothing to run.
func TestMany(t *testing.T) {
	if *schedulesFlag > 0 {
		explore(t, false, firstSeed, *schedulesFlag, 24*time.Hour, "alarm CLONED", "alarm FORK", "alarm TAIL_LOST",
			"accepted", "retired", "rekeyed", "waived", "released", "lost", "withdrawn", "extended")
	}
}

// TestSoak runs schedules that nobody has run before for as long as -soak says. Without -soak there is nothing to run.
func TestSoak(t *testing.T) {
	if *soakFlag > 0 {
		explore(t, false, rand.Uint64()>>1, endless, *soakFlag)
	}
}

// explore runs at most so many schedules for so long, those of a seed and of the following ones, and makes sure that what is named
// came about.
func explore(t *testing.T, onDisk bool, first uint64, most int, budget time.Duration, cameAbout ...string) {
	t.Helper()
	given, err := parseSchedule(*scheduleFlag)
	if err != nil {
		t.Fatal(err)
	}
	if *seedFlag != 0 || len(given) > 0 {
		first, most, budget = *seedFlag, 1, time.Hour
	}
	t.Logf("the first seed is %d", first)
	began := time.Now()
	var mu sync.Mutex
	count, known, seen := 0, map[string]bool{}, map[string]int{}
	next := func() (seed uint64, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if count == most || time.Since(began) > budget {
			return 0, false
		}
		count++
		return first + uint64(count) - 1, true
	}
	took := func(s schedule, seed uint64, r result) {
		mu.Lock()
		defer mu.Unlock()
		for what, n := range r.seen {
			seen[what] += n
		}
		for _, v := range r.violations {
			if t.Errorf("seed %d: %s", seed, v); !known[kindOf(v)] {
				known[kindOf(v)] = true
				report(t, s, onDisk, v)
			}
		}
	}
	var running sync.WaitGroup
	for range atOnce {
		running.Go(func() {
			for {
				seed, ok := next()
				if !ok {
					return
				}
				s := given
				if len(s) == 0 {
					s = generate(seed)
				}
				took(s, seed, run(t, s, onDisk, testLogger()))
			}
		})
	}
	running.Wait()
	for _, what := range cameAbout {
		if seen[what] == 0 {
			t.Errorf("%s never came about", what)
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
func report(t *testing.T, s schedule, onDisk bool, violation string) {
	t.Helper()
	began := time.Now()
	shorter := shrink(s, func(s schedule) bool {
		return time.Since(began) < *shrinkFlag && slices.ContainsFunc(run(t, s, onDisk, testLogger()).violations, func(v string) bool { return kindOf(v) == kindOf(violation) })
	})
	t.Logf("shrunk from %d to %d steps; run it again with\n  go test ./test/simulation -run TestSchedules -schedule '%s'", len(s), len(shorter), shorter)
}

// showsIn reports whether something came about in a run, or was violated by it.
func showsIn(r result, what string) bool {
	return r.seen[what] > 0 || slices.ContainsFunc(r.violations, func(v string) bool { return strings.Contains(v, what) })
}

// TestShows runs schedules until one violates what -shows says; it is how a rule left out of the product is noticed. Without
// -shows there is nothing to show.
func TestShows(t *testing.T) {
	given, err := parseSchedule(*scheduleFlag)
	if err != nil {
		t.Fatal(err)
	}
	if *showsFlag == "" {
		return
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
		r := run(t, s, false, testLogger())
		if showsIn(r, *showsFlag) {
			t.Logf("schedule %d, after %v: %v", count, time.Since(began).Round(time.Second), r.violations)
			return
		}
		for _, v := range r.violations {
			if found[kindOf(v)]++; found[kindOf(v)] == 1 {
				t.Logf("schedule %d, after %v: %s\n  %s", count, time.Since(began).Round(time.Second), v, s)
			}
		}
	}
	t.Errorf("%d schedules did not show %q, but %v", count, *showsFlag, found)
}
