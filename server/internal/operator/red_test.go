package operator

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// TestRed lists who would not take tonight's recordings, and nobody else.
func TestRed(t *testing.T) {
	t.Parallel()
	const origin = "wolkvox.com/backup/acme/NAME/0123456789abcdef0123456789abcdef"
	report := func(name string, verdict backupv1.CheckVerdict, lines ...*backupv1.CheckLine) *backupv1.DestinationReport {
		return &backupv1.DestinationReport{Origin: strings.Replace(origin, "NAME", name, 1), Health: backupv1.DestinationHealth_DESTINATION_HEALTH_IDLE,
			Check: &backupv1.CheckReport{CheckTime: timestamppb.New(time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)), Verdict: verdict, Lines: lines}}
	}
	bad := &backupv1.CheckLine{Subject: "write", Verdict: backupv1.CheckVerdict_CHECK_VERDICT_BAD, Message: "the destination is full", Class: "capacity", Party: "client", Code: "ENOSPC"}
	warning := &backupv1.CheckLine{Subject: "clock", Verdict: backupv1.CheckVerdict_CHECK_VERDICT_WARNING, Message: "the clock is wrong"}
	r := serve(t, &fakeAdmin{agents: []*backupv1.AgentSummary{
		{Tenant: "acme", Name: "one", HostName: "h1", HeardTime: timestamppb.Now(), Destinations: []*backupv1.DestinationReport{
			report("nas", backupv1.CheckVerdict_CHECK_VERDICT_BAD, bad, warning), report("tape", backupv1.CheckVerdict_CHECK_VERDICT_WARNING, warning),
		}},
		{Tenant: "acme", Name: "two", HostName: "h2", HeardTime: timestamppb.Now(), Destinations: []*backupv1.DestinationReport{
			report("san", backupv1.CheckVerdict_CHECK_VERDICT_GOOD), {Origin: strings.Replace(origin, "NAME", "unchecked", 1)},
		}},
		{Tenant: "acme", Name: "three", HostName: "h3", HeardTime: timestamppb.Now(), RevokeTime: timestamppb.Now(), Destinations: []*backupv1.DestinationReport{
			report("old", backupv1.CheckVerdict_CHECK_VERDICT_BAD, bad),
		}},
	}})
	code, out, errs := r.do(t, "agents", "--red")
	if code != exitOK || strings.Count(out, "\n") != 2 {
		t.Fatalf("status %d, stderr %q, stdout\n%s", code, errs, out)
	}
	for _, word := range []string{"acme", "one", "h1", "nas", "2026-03-01", "write", "client", "ENOSPC", "the destination is full"} {
		if !strings.Contains(out, word) {
			t.Errorf("%q is missing in\n%s", word, out)
		}
	}
	if code, out, _ := r.do(t, "agents"); code != exitOK || strings.Count(out, "idle RED") != 2 || strings.Count(out, "RED") != 2 {
		t.Errorf("status %d, stdout\n%s", code, out)
	}
	code, out, _ = r.do(t, "agents", "--red", "--output", "json")
	if code != exitOK || strings.Count(out, `"origin"`) != 1 || !strings.Contains(out, "/nas/") || !strings.Contains(out, `"ENOSPC"`) {
		t.Errorf("status %d, as JSON:\n%s", code, out)
	}
}
