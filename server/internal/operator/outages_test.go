package operator

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// lifecycleAdmin keeps the last request and answers with what it holds.
type lifecycleAdmin struct {
	backupv1.UnimplementedAdminServiceServer
	got        proto.Message
	extensions []*backupv1.Extension
}

func (l *lifecycleAdmin) ExtendDeadlines(_ context.Context, req *backupv1.ExtendDeadlinesRequest) (*backupv1.ExtendDeadlinesResponse, error) {
	l.got = req
	return &backupv1.ExtendDeadlinesResponse{Extensions: l.extensions}, nil
}

func (l *lifecycleAdmin) ListOutages(context.Context, *backupv1.ListOutagesRequest) (*backupv1.ListOutagesResponse, error) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	return &backupv1.ListOutagesResponse{Outages: []*backupv1.Outage{{
		Number: 3, StartTime: timestamppb.New(at), EndTime: timestamppb.New(at.Add(90 * time.Minute)), ManifestCount: 12,
	}}}, nil
}

func (l *lifecycleAdmin) CreateToken(_ context.Context, req *backupv1.CreateTokenRequest) (*backupv1.CreateTokenResponse, error) {
	l.got = req
	return &backupv1.CreateTokenResponse{Join: "wvx1.x"}, nil
}

func (l *lifecycleAdmin) RekeyLog(_ context.Context, req *backupv1.RekeyLogRequest) (*backupv1.RekeyLogResponse, error) {
	l.got = req
	return &backupv1.RekeyLogResponse{Destination: &backupv1.Destination{Origin: "o", ServerFingerprint: "before", CurrentServerFingerprint: "now"}}, nil
}

func (l *lifecycleAdmin) RetireDestination(_ context.Context, req *backupv1.RetireDestinationRequest) (*backupv1.RetireDestinationResponse, error) {
	l.got = req
	return &backupv1.RetireDestinationResponse{Destination: &backupv1.Destination{Name: "nas", Retired: true}}, nil
}

func (l *lifecycleAdmin) RetireTenant(_ context.Context, req *backupv1.RetireTenantRequest) (*backupv1.RetireTenantResponse, error) {
	l.got = req
	return &backupv1.RetireTenantResponse{Destinations: []string{"nas"}, Revoked: []string{"wolkvox://role/agent/acme/a"}}, nil
}

func TestLifecycleCommands(t *testing.T) {
	t.Parallel()
	const outage, courtesy = backupv1.ExtensionReason_EXTENSION_REASON_OUTAGE, backupv1.ExtensionReason_EXTENSION_REASON_COURTESY
	for _, c := range []struct {
		line  string
		sends proto.Message
		shows string // in human and JSON output
	}{
		{"extend --fleet --outage 3 --dry-run", &backupv1.ExtendDeadlinesRequest{Outage: 3, Reason: outage, DryRun: true}, "nas"},
		{"extend acme nas 7 --by 72h --because courtesy --closed-too",
			&backupv1.ExtendDeadlinesRequest{Tenant: "acme", Destination: "nas", Manifest: 7, By: durationpb.New(72 * time.Hour), Reason: courtesy, ClosedToo: true}, "nas"},
		{"outages", nil, "12"},
		{"token create acme nas --for-agent cfcbd4e3d0dfb53f --lifetime 1h",
			&backupv1.CreateTokenRequest{Tenant: "acme", Destination: "nas", ForAgent: "cfcbd4e3d0dfb53f", Lifetime: durationpb.New(time.Hour)}, "wvx1.x"},
		{"ledger rekey acme nas", &backupv1.RekeyLogRequest{Tenant: "acme", Destination: "nas"}, "before"},
		{"destination retire acme nas --moved", &backupv1.RetireDestinationRequest{Tenant: "acme", Destination: "nas", Moved: true}, "nas"},
		{"tenant retire acme", &backupv1.RetireTenantRequest{Tenant: "acme"}, "wolkvox://role/agent/acme/a"},
	} {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			admin := &lifecycleAdmin{extensions: []*backupv1.Extension{{Tenant: "acme", Destination: "nas", Manifest: 7}}}
			r := serve(t, admin)
			for _, output := range []string{"human", "json"} {
				code, out, errs := r.do(t, append(strings.Fields(c.line), "--output", output)...)
				if code != exitOK || !strings.Contains(out, c.shows) || errs != "" {
					t.Errorf("%s: status %d, stdout %q, stderr %q", output, code, out, errs)
				}
				if diff := cmp.Diff(c.sends, admin.got, protocmp.Transform()); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestExtendFailsOnProblems(t *testing.T) {
	t.Parallel()
	r := serve(t, &lifecycleAdmin{extensions: []*backupv1.Extension{{Manifest: 1}, {Manifest: 2, Problem: "it is closed"}}})
	code, out, errs := r.do(t, "extend", "acme", "--outage", "3")
	if code != exitFailed || !strings.Contains(out, "it is closed") || !strings.Contains(errs, "1 of 2") {
		t.Errorf("status %d, stdout %q, stderr %q", code, out, errs)
	}
}
