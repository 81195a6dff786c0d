package control

import (
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// TestCheck streams the lines and then the whole, and status shows from then on what was not good.
func TestCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	client := r.ask(t)
	last := func() *backupv1.CheckReport {
		t.Helper()
		status, err := client.GetStatus(t.Context(), &backupv1.GetStatusRequest{})
		check(t, err)
		return status.GetDestinations()[0].GetCheck()
	}
	run := func(request *backupv1.CheckRequest) *backupv1.CheckReport {
		t.Helper()
		stream, err := client.Check(t.Context(), request)
		check(t, err)
		var lines []*backupv1.CheckLine
		for {
			step, err := stream.Recv()
			check(t, err)
			if step.GetDestination() != "nas" {
				t.Errorf("%v", step)
			}
			if report := step.GetReport(); report != nil {
				if diff := cmp.Diff(lines, report.GetLines(), protocmp.Transform()); diff != "" {
					t.Errorf("the lines that came, and those of the report:\n%s", diff)
				}
				if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
					t.Errorf("after the report of the last destination: %v", err)
				}
				return report
			}
			lines = append(lines, step.GetLine())
		}
	}
	if last() != nil {
		t.Error("a check is shown before there was one")
	}
	r.night.Circuit.Trip(errors.New("something odd"))
	report := run(&backupv1.CheckRequest{})
	if _, open := r.night.Circuit.State(); !open {
		t.Error("a bad check ended the time for which the destination is left alone")
	}
	if report.GetVerdict() != backupv1.CheckVerdict_CHECK_VERDICT_BAD || !report.GetCheckTime().AsTime().Equal(noon) {
		t.Errorf("of a place without a marker: %v", report)
	}
	shown := last()
	for _, line := range shown.GetLines() {
		if line.GetVerdict() <= backupv1.CheckVerdict_CHECK_VERDICT_GOOD || line.GetMessage() == "" {
			t.Errorf("shown is %v", line)
		}
	}
	if first := shown.GetLines()[0]; shown.GetVerdict() != report.GetVerdict() || first.GetSubject() != "marker" || first.GetCode() != "NO_MARKER" {
		t.Errorf("shown is %v", shown)
	}
	_, err := client.InitDestination(t.Context(), &backupv1.InitDestinationRequest{Destination: "nas"})
	check(t, err)
	want := &backupv1.CheckReport{CheckTime: timestamppb.New(noon), Verdict: backupv1.CheckVerdict_CHECK_VERDICT_UNKNOWN}
	if report = run(&backupv1.CheckRequest{Destination: "nas"}); report.GetVerdict() != want.GetVerdict() {
		t.Errorf("of a place that is initialised: %v", report)
	}
	if state, open := r.night.Circuit.State(); open {
		t.Errorf("after a good check the destination is left alone: %+v", state)
	}
	if diff := cmp.Diff(want, last(), protocmp.Transform(), protocmp.IgnoreFields(&backupv1.CheckReport{}, "lines")); diff != "" || len(last().GetLines()) != 1 {
		t.Errorf("shown is %v\n%s", last(), diff)
	}
}
