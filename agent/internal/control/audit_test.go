package control

import (
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup/agent/internal/fault"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// runAudit returns the findings and the report of an audit.
func runAudit(t testing.TB, client backupv1.AgentServiceClient, request *backupv1.AuditDestinationRequest) (found []*backupv1.AuditFinding, report *backupv1.AuditReport, err error) {
	t.Helper()
	stream, err := client.AuditDestination(t.Context(), request)
	check(t, err)
	for {
		step, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return found, report, nil
		}
		if err != nil {
			return nil, nil, err
		}
		found, report = append(found, step.GetFindings()...), step.GetReport()
	}
}

// TestAudit names what is altered and what is extra, says what is next in the language of the configuration, and the status shows it.
func TestAudit(t *testing.T) {
	t.Parallel()
	r, client := moveRig(t)
	request := &backupv1.AuditDestinationRequest{Destination: "nas", Level: backupv1.AuditLevel_AUDIT_LEVEL_READ}
	found, report, err := runAudit(t, client, request)
	if err != nil || len(found) != 0 || report.GetOutcome() != backupv1.AuditOutcome_AUDIT_OUTCOME_COMPLETE || report.GetCounts().GetPresentCount() != 2 {
		t.Errorf("of a good place: %v, %v, %v", found, report, err)
	}
	r.disk.Plant("a.gsm", []byte("altered"))
	r.disk.Plant("x\xff", []byte("somebody's"))
	r.service.Destinations[0].Faults.Language = fault.Spanish
	found, report, err = runAudit(t, client, request)
	if err != nil || len(found) != 2 || found[0].GetName() != "a.gsm" || found[0].GetClass() != backupv1.AuditClass_AUDIT_CLASS_ALTERED || found[0].GetNight() != "2026-03-01" ||
		found[0].GetSizeBytes() != 7 || len(found[0].GetSha256()) != 32 || found[1].GetName() != "x\uFFFD" || found[1].GetClass() != backupv1.AuditClass_AUDIT_CLASS_EXTRA {
		t.Errorf("of a spoiled place: %v, %v", found, err)
	}
	if report.GetOutcome() != backupv1.AuditOutcome_AUDIT_OUTCOME_SUSPICIOUS || !strings.Contains(report.GetMessage(), "Es más del 1 %") {
		t.Errorf("half of it lost: %v", report)
	}
	if _, report, err = runAudit(t, client, request); err != nil || report.GetSignedCount() != 1 {
		t.Errorf("the second audit: %v, %v", report, err)
	}
	all, err := client.GetStatus(t.Context(), &backupv1.GetStatusRequest{})
	check(t, err)
	if d := all.GetDestinations()[0]; d.GetAudit().GetSignedCount() != 1 || d.GetCounts().GetPendingCount() != 1 {
		t.Errorf("the status says %v", d)
	}
}

func TestAuditRefused(t *testing.T) {
	t.Parallel()
	r, client := moveRig(t)
	for name, request := range map[string]*backupv1.AuditDestinationRequest{
		"no level":          {Destination: "nas"},
		"too large samples": {Destination: "nas", Level: backupv1.AuditLevel_AUDIT_LEVEL_LIST, SamplePercent: 101},
		"a negative rate":   {Destination: "nas", Level: backupv1.AuditLevel_AUDIT_LEVEL_LIST, BytesPerSecond: -1},
	} {
		if _, _, err := runAudit(t, client, request); wire.Reason(err) != wire.ReasonBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	request := &backupv1.AuditDestinationRequest{Destination: "nas", Level: backupv1.AuditLevel_AUDIT_LEVEL_LIST}
	r.disk.Unplug()
	if _, report, err := runAudit(t, client, request); err != nil || report.GetOutcome() != backupv1.AuditOutcome_AUDIT_OUTCOME_UNREACHABLE || report.GetCounts().GetMissingCount() != 0 {
		t.Errorf("of a place that is away: %v, %v", report, err)
	}
	r.service.AtWork = false
	if _, _, err := runAudit(t, client, request); status.Code(err) != codes.Unavailable {
		t.Errorf("where no night runs: %v", err)
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	_, client := moveRig(t)
	for name, request := range map[string]*backupv1.ReleaseRequest{
		"neither": {Destination: "nas"}, "both": {Destination: "nas", Night: "2026-03-01", OlderThanDays: 3}, "no date": {Destination: "nas", Night: "yesterday"},
	} {
		if _, err := client.Release(t.Context(), request); wire.Reason(err) != wire.ReasonBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	released, err := client.Release(t.Context(), &backupv1.ReleaseRequest{Destination: "nas", Night: "2026-03-01"})
	if err != nil || released.GetItemCount() != 2 || released.GetFirstNight() != "2026-03-01" {
		t.Errorf("Release = %v, %v", released, err)
	}
	all, err := client.GetStatus(t.Context(), &backupv1.GetStatusRequest{})
	check(t, err)
	if c := all.GetDestinations()[0].GetCounts(); c.GetReleasedCount() != 2 || c.GetConfirmedCount() != 0 {
		t.Errorf("the status says %v", c)
	}
}
