package command

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup/internal/wire"
)

func TestAcceptLosses(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if status, out, _ := m.run("destination", "accept-losses", "nas"); status != statusGood || !strings.Contains(out, "40 of 100") {
		t.Errorf("status %d, %q", status, out)
	}
	if status, out, _ := m.run("destination", "accept-losses", "nas", "--output", "json"); status != statusGood || !strings.Contains(out, "lost_count") {
		t.Errorf("as JSON: status %d, %q", status, out)
	}
	if status, _, errs := m.run("destination", "accept-losses", "tape"); status != statusBad || !strings.Contains(errs, "tape") {
		t.Errorf("of another destination: status %d, %q", status, errs)
	}
	m.agent.fails = wire.Error(codes.FailedPrecondition, wire.ReasonNoLosses, "no audit of nas waits")
	if status, _, errs := m.run("destination", "accept-losses", "nas"); status != statusBad || !strings.Contains(errs, "no audit of nas waits") {
		t.Errorf("with nothing to decide: status %d, %q", status, errs)
	}
}

// TestAgentProblems shows what is wrong with the agent as a whole, and is not well then.
func TestAgentProblems(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.status.Problems = []string{"the store was set aside", "the clock is wrong"}
	if status, out, _ := m.run("status"); status != statusBad || !strings.Contains(out, "! the store was set aside\n! the clock is wrong\n") {
		t.Errorf("status %d, %q", status, out)
	}
}

// TestWrongClock counts the days that are left by the server's time.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{0, 365 * 24 * time.Hour, -365 * 24 * time.Hour} {
		m := newMachine(t)
		server := time.Now().Add(-offset)
		m.agent.status.ClockOffset = durationpb.New(offset)
		m.agent.status.Destinations[0].Nights[0].DeadlineTime = timestamppb.New(server.Add(10*24*time.Hour + time.Hour))
		if _, out, _ := m.run("status"); !strings.Contains(out, "10 days") {
			t.Errorf("with a clock that is %v off: %q", offset, out)
		}
	}
}
