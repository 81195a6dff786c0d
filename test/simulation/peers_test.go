//go:build peers

package simulation

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestThousands runs the first 3,000 schedules, or as many as SIMULATION_SCHEDULES says. The race detector, with which a schedule takes ten times
// as long, has no part in it: the tests are built anew without it. With it run [TestRaces] and [TestOnDisk].
func TestThousands(t *testing.T) {
	schedules := os.Getenv("SIMULATION_SCHEDULES")
	if schedules == "" {
		schedules = "3000"
	}
	binary := filepath.Join(t.TempDir(), "simulation.test")
	build(t, binary)
	run := exec.CommandContext(t.Context(), binary, "-test.v", "-test.run=^TestMany$", "-test.timeout=2h", "-schedules", schedules)
	run.Env = append(os.Environ(), "GOGC=400") // each schedule makes and drops a few stores
	out, err := run.CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Error(err)
	}
}

// TestRaces runs fewer schedules, with the race detector if the test has it.
func TestRaces(t *testing.T) { explore(t, false, firstSeed, 60, 24*time.Hour) }

// TestOnDisk runs fewer schedules with stores on disk, which are opened again after every kill.
func TestOnDisk(t *testing.T) { explore(t, true, firstSeed, 60, 24*time.Hour) }
