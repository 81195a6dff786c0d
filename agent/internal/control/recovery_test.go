package control

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// TestAcceptLosses says what an audit found, and that there is nothing to decide where none found much.
func TestAcceptLosses(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.disk.Plant("a.gsm", []byte("a recording"))
	r.disk.Plant("b.gsm", []byte("a recording"))
	client := r.ask(t)
	init := &backupv1.InitDestinationRequest{Destination: "nas"}
	_, err := client.InitDestination(t.Context(), init)
	check(t, err)
	r.begin()
	pass := func() error {
		outcome, err := r.night.RunNow(t.Context())
		return errors.Join(err, outcome.Err)
	}
	check(t, pass())
	check(t, pass()) // takes up what the first one appended, so that nothing goes on by itself now
	request := &backupv1.AcceptLossesRequest{Destination: "nas"}
	if _, err := client.AcceptLosses(t.Context(), request); status.Code(err) != codes.FailedPrecondition || wire.Reason(err) != wire.ReasonNoLosses {
		t.Errorf("before an audit: %v, want NO_LOSSES", err)
	}
	r.disk.Plant("a.gsm", []byte("altered"))
	r.disk.SetOwn("last-delivered", []byte("of another time"))
	if err := pass(); err == nil {
		t.Fatal("a pass with a destination that went back is well")
	}
	got, err := client.AcceptLosses(t.Context(), request)
	if err != nil || got.GetLostCount() != 1 || got.GetAuditedCount() != 2 {
		t.Errorf("AcceptLosses = %v, %v; want 1 of 2", got, err)
	}
	if _, err := client.AcceptLosses(t.Context(), &backupv1.AcceptLossesRequest{Destination: "tape"}); status.Code(err) != codes.NotFound {
		t.Errorf("of another destination: %v", err)
	}
}

// TestAgentProblems shows what is wrong with the agent as a whole, and how far its clock is off.
func TestAgentProblems(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	r.service.Problems = func() []string { return []string{"wrong\xff"} }
	r.service.ClockOffset = func() (time.Duration, bool) { return -10 * time.Minute, true }
	got, err := r.ask(t).GetStatus(t.Context(), &backupv1.GetStatusRequest{})
	if err != nil || len(got.GetProblems()) != 1 || got.GetProblems()[0] != "wrong?" || got.GetClockOffset().AsDuration() != -10*time.Minute {
		t.Errorf("status %v, %v", got, err)
	}
}
