package command

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// MoveDestination finds two of ten lost, which somebody has to accept.
func (a *fakeService) MoveDestination(m *backupv1.MoveDestinationRequest, stream grpc.ServerStreamingServer[backupv1.MoveDestinationResponse]) error {
	if err := a.known(m.GetDestination()); err != nil {
		return err
	}
	if a.fails != nil {
		return a.fails
	}
	step := &backupv1.MoveDestinationResponse{Location: "/mnt/new", WantedCount: 10, AuditedCount: 5}
	if err := stream.Send(step); err != nil {
		return err
	}
	step.AuditedCount, step.LostCount = 10, 2
	step.Result = &backupv1.MoveResult{Complete: m.GetAcceptLosses(), Message: "2 of 10 are not there."}
	return stream.Send(step)
}

func TestMove(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if status, out, _ := m.run("destination", "move", "nas"); status != statusBad || out != "2 of 10 are not there.\n" {
		t.Errorf("status %d, %q", status, out)
	}
	if !m.agent.online {
		t.Error("no agent was at work")
	}
	if status, out, _ := m.run("destination", "move", "nas", "--accept-losses"); status != statusGood || out != "2 of 10 are not there.\n" {
		t.Errorf("accepted: status %d, %q", status, out)
	}
	if status, out, _ := m.run("destination", "move", "nas", "--output", "json"); status != statusBad || strings.Count(out, `"location"`) != 1 || !strings.Contains(out, `"lost_count"`) {
		t.Errorf("as JSON: status %d, %q", status, out)
	}
	if status, _, errs := m.run("destination", "move", "tape"); status != statusBad || !strings.Contains(errs, "tape") {
		t.Errorf("of another destination: status %d, %q", status, errs)
	}
	if status, _, errs := m.run("destination", "move"); status != statusUsage || !strings.Contains(errs, "one name") {
		t.Errorf("of none: status %d, %q", status, errs)
	}
	m.agent.fails = wire.Error(codes.FailedPrecondition, wire.ReasonForeignMarker, "it belongs to another log")
	if status, _, errs := m.run("destination", "move", "nas"); status != statusBad || !strings.Contains(errs, "it belongs to another log") {
		t.Errorf("to another log's place: status %d, %q", status, errs)
	}
}
