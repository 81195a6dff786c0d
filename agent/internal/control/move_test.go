package control

import (
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// move asks for a move and returns its last step.
func move(t testing.TB, client backupv1.AgentServiceClient, request *backupv1.MoveDestinationRequest) (*backupv1.MoveDestinationResponse, error) {
	t.Helper()
	stream, err := client.MoveDestination(t.Context(), request)
	check(t, err)
	var last *backupv1.MoveDestinationResponse
	for {
		step, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return nil, err
		}
		if last.GetResult() != nil {
			t.Error("a step came after the result")
		}
		last = step
	}
}

// moveRig has both recordings of a night confirmed.
func moveRig(t *testing.T) (*rig, backupv1.AgentServiceClient) {
	t.Helper()
	r := newRig(t, 2)
	r.disk.Plant("a.gsm", []byte("a recording"))
	r.disk.Plant("b.gsm", []byte("a recording"))
	client := r.ask(t)
	_, err := client.InitDestination(t.Context(), &backupv1.InitDestinationRequest{Destination: "nas"})
	check(t, err)
	r.begin()
	for range 2 { // the second takes up what the first one appended, so that nothing goes on by itself now
		outcome, err := r.night.RunNow(t.Context())
		check(t, errors.Join(err, outcome.Err))
	}
	return r, client
}

// elsewhere makes the place a copy that lies somewhere else.
func (r *rig) elsewhere() { r.disk.SetOwn("located", []byte("somewhere else")) }

func TestMove(t *testing.T) {
	t.Parallel()
	r, client := moveRig(t)
	request := &backupv1.MoveDestinationRequest{Destination: "nas"}
	step, err := move(t, client, request)
	if err != nil || !step.GetResult().GetComplete() || step.GetWantedCount() != 0 || !strings.Contains(step.GetResult().GetMessage(), "nothing was done") {
		t.Errorf("to the same place: %v, %v", step, err)
	}
	r.elsewhere()
	step, err = move(t, client, request)
	if err != nil || !step.GetResult().GetComplete() || step.GetAuditedCount() != 2 || step.GetLocation() != "/mnt/nas" || !strings.Contains(step.GetResult().GetMessage(), "All 2") {
		t.Errorf("to a copy: %v, %v", step, err)
	}
	r.elsewhere()
	r.disk.Plant("a.gsm", []byte("altered"))
	step, err = move(t, client, request)
	if err != nil || step.GetResult().GetComplete() || step.GetLostCount() != 1 || !strings.Contains(step.GetResult().GetMessage(), "--accept-losses") {
		t.Errorf("to half a copy: %v, %v", step, err)
	}
	request.AcceptLosses = true
	step, err = move(t, client, request)
	if err != nil || !step.GetResult().GetComplete() || step.GetLostCount() != 1 || !strings.Contains(step.GetResult().GetMessage(), "1 of them have something else") {
		t.Errorf("to half a copy, accepted: %v, %v", step, err)
	}
}

// TestMoveRefused answers each reason with its code.
func TestMoveRefused(t *testing.T) {
	t.Parallel()
	r, client := moveRig(t)
	request := &backupv1.MoveDestinationRequest{Destination: "nas"}
	marker := r.disk.Files()[".wolkvox/marker"]
	r.disk.SetOwn("marker", []byte(strings.Replace(string(marker), "/nas/", "/tape/", 1)))
	if _, err := move(t, client, request); status.Code(err) != codes.FailedPrecondition || wire.Reason(err) != wire.ReasonForeignMarker {
		t.Errorf("to another log's place: %v", err)
	}
	r.disk.SetOwn("marker", marker)
	r.disk.Unplug()
	if _, err := move(t, client, request); status.Code(err) != codes.Unavailable || wire.Reason(err) != wire.ReasonDestinationUnreachable {
		t.Errorf("to a place that is away: %v", err)
	}
	if _, err := move(t, client, &backupv1.MoveDestinationRequest{Destination: "tape"}); status.Code(err) != codes.NotFound {
		t.Errorf("of another destination: %v", err)
	}
	r.service.AtWork = false
	if _, err := move(t, client, request); status.Code(err) != codes.Unavailable {
		t.Errorf("where no night runs: %v", err)
	}
}
