package simulation

import (
	"flag"
	"log/slog"
	"os"
	"testing"
	"time"
)

var (
	scheduleFlag = flag.String("schedule", "", "run this schedule instead of random ones")
	seedFlag     = flag.Uint64("seed", 0, "run the schedule of this seed instead of random ones")
	countFlag    = flag.Int("schedules", 100, "how many random schedules are run")
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
		t.Log(run(t, s, "", testLogger()))
		return
	}
	if *seedFlag != 0 {
		s := generate(*seedFlag)
		t.Log(s)
		t.Log(run(t, s, "", testLogger()))
		return
	}
	first := uint64(time.Now().UnixNano())
	found := map[string]int{}
	for seed := first; seed < first+uint64(*countFlag); seed++ {
		s := generate(seed)
		r := run(t, s, "", testLogger())
		for _, v := range r.violations {
			if found[v]++; found[v] == 1 {
				t.Errorf("seed %d: %s\n  %s", seed, v, s)
			}
		}
	}
	t.Log(found, time.Since(began)/time.Duration(*countFlag))
}
