package command

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// AuditDestination finds two files, or nothing at the level of names.
func (a *fakeService) AuditDestination(m *backupv1.AuditDestinationRequest, stream grpc.ServerStreamingServer[backupv1.AuditDestinationResponse]) error {
	if err := a.known(m.GetDestination()); err != nil {
		return err
	}
	report := &backupv1.AuditReport{Level: m.GetLevel(), Outcome: backupv1.AuditOutcome_AUDIT_OUTCOME_COMPLETE, Counts: &backupv1.AuditCounts{LookedCount: 9}, Message: "That is all."}
	if m.GetLevel() == backupv1.AuditLevel_AUDIT_LEVEL_READ {
		report.Counts.AlteredCount = 1
		found := []*backupv1.AuditFinding{
			{Class: backupv1.AuditClass_AUDIT_CLASS_ALTERED, Name: "a.gsm", Manifest: 1, Night: "2026-03-01", SizeBytes: new(int64(7)), Sha256: []byte{0xab}},
			{Class: backupv1.AuditClass_AUDIT_CLASS_EXTRA, Name: "x", SizeBytes: new(int64(0))},
		}
		if err := stream.Send(&backupv1.AuditDestinationResponse{Findings: found}); err != nil {
			return err
		}
	}
	return stream.Send(&backupv1.AuditDestinationResponse{Report: report})
}

// Release releases what it is asked for.
func (a *fakeService) Release(_ context.Context, m *backupv1.ReleaseRequest) (*backupv1.ReleaseResponse, error) {
	if m.GetOlderThanDays() > 0 {
		return &backupv1.ReleaseResponse{}, nil
	}
	return &backupv1.ReleaseResponse{ItemCount: 3, Bytes: 2000, FirstNight: m.GetNight(), LastNight: m.GetNight()}, nil
}

func TestAudit(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	want := "altered     a.gsm (night 2026-03-01, 7 bytes there, with SHA-256 ab)\nextra       x (0 bytes there)\nThat is all.\n"
	if status, out, _ := m.run("audit", "nas"); status != statusBad || out != want {
		t.Errorf("status %d, %q", status, out)
	}
	if status, out, errs := m.run("audit", "nas", "--level", "list", "--sample", "2.5%", "--seed", "x", "--rate", "1MiB"); status != statusGood || out != "That is all.\n" {
		t.Errorf("list: status %d, %q, %q", status, out, errs)
	}
	for level, findings := range map[string]int{"read": 2, "list": 0} {
		_, out, _ := m.run("audit", "nas", "--level", level, "--output", "json")
		var doc struct {
			Findings []struct{ Class, Name string }
			Report   struct{ Outcome, Message string }
		}
		if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Findings) != findings || doc.Report.Outcome != "AUDIT_OUTCOME_COMPLETE" {
			t.Errorf("%s as JSON: %v, %q", level, err, out)
		}
	}
	for _, args := range [][]string{{"--level", "x"}, {"--sample", "0"}, {"--sample", "5x"}, {"--sample", "101"}, {"--rate", "1"}, {"--seed", "x"}} {
		if status, _, errs := m.run(append([]string{"audit", "nas"}, args...)...); status != statusUsage || !strings.Contains(errs, args[0]) {
			t.Errorf("%v: status %d, %q", args, status, errs)
		}
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if status, out, _ := m.run("release", "nas", "--night", "2026-03-01"); status != statusGood || !strings.HasPrefix(out, "3 recordings (2.0 kB) of the nights 2026-03-01") {
		t.Errorf("status %d, %q", status, out)
	}
	if status, out, _ := m.run("release", "nas", "--older-than", "9"); status != statusGood || !strings.HasPrefix(out, "Nothing") {
		t.Errorf("of nothing: status %d, %q", status, out)
	}
	for _, args := range [][]string{{}, {"--night", "x"}, {"--night", "2026-03-01", "--older-than", "9"}, {"--older-than", "-1"}} {
		if status, _, _ := m.run(append([]string{"release", "nas"}, args...)...); status != statusUsage {
			t.Errorf("%v: status %d", args, status)
		}
	}
}
