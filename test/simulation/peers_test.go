//go:build peers

package simulation

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// TestThousands runs schedules for minutes (SIMULATION_SECONDS), thousands of them. All that the protocol has an answer for has
// to come about in them.
func TestThousands(t *testing.T) {
	seconds := 300
	if text := os.Getenv("SIMULATION_SECONDS"); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("SIMULATION_SECONDS: %v", err)
		}
	}
	explore(t, false, 1<<20, time.Duration(seconds)*time.Second, "alarm CLONED", "alarm FORK", "alarm TAIL_LOST", "cut back",
		"accepted", "retired", "rekeyed", "waived", "released", "lost", "withdrawn", "extended")
}

// TestOnDisk runs fewer schedules with stores on disk, which are opened again after every kill.
func TestOnDisk(t *testing.T) { explore(t, true, 100, 90*time.Second) }
