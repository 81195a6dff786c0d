package operator

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// expiringAdmin has a destination that loses something, and one of which nothing was measured.
type expiringAdmin struct{ fakeAdmin }

func (*expiringAdmin) ListExpiring(m *backupv1.ListExpiringRequest, stream grpc.ServerStreamingServer[backupv1.ListExpiringResponse]) error {
	switch {
	case m.GetTenant() == "none":
		return wire.Error(codes.NotFound, wire.ReasonNoTenant, "there is no tenant none")
	case m.GetWithin().AsDuration() < 24*time.Hour:
		return nil
	}
	deadline := timestamppb.New(time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC))
	for _, d := range []*backupv1.ExpiringDestination{
		{Tenant: "acme", Destination: "nas", Agent: "a1", HeardTime: deadline, Rate: &backupv1.DrainRate{NightCount: 7, ConfirmedCount: 70, ConfirmedBytes: 7000}, Manifests: []*backupv1.ExpiringManifest{
			{Manifest: 12, Night: "2026-02-17", DeadlineTime: deadline, PendingCount: 214, PendingBytes: 38e9, ExpiringCount: 193, LastFault: &backupv1.Fault{Class: "capacity", Party: "client", Message: "the disk is full"}},
		}},
		{Tenant: "globex", Destination: "s3", Rate: &backupv1.DrainRate{}, Manifests: []*backupv1.ExpiringManifest{{Manifest: 1, Night: "2026-02-18", DeadlineTime: deadline, PendingCount: 5}}},
	} {
		if err := stream.Send(&backupv1.ListExpiringResponse{Destination: d}); err != nil {
			return err
		}
	}
	return nil
}

func TestExpiring(t *testing.T) {
	t.Parallel()
	r := serve(t, &expiringAdmin{})
	status, out, errs := r.do(t, "expiring")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != 0 || len(lines) != 3 {
		t.Fatalf("status %d, %q, %q", status, out, errs)
	}
	for line, wanted := range map[int][]string{
		1: {"acme", "2026-02-17", "12", "214", "38.0 GB", "193", "10, 1.0 kB", "2026-03-04 00:00:00Z", "capacity (client): the disk is full"},
		2: {"globex", "unknown", "no agent"},
	} {
		for _, text := range wanted {
			if !strings.Contains(lines[line], text) {
				t.Errorf("%q does not say %q", lines[line], text)
			}
		}
	}
	if status, out, errs := r.do(t, "expiring", "--output", "json"); status != 0 || strings.Count(out, "\n") != 2 || !strings.Contains(out, `"expiring_count"`) {
		t.Errorf("as JSON: status %d, %q, %q", status, out, errs)
	}
	if status, out, _ := r.do(t, "expiring", "--within", "1h"); status != 0 || !strings.Contains(out, "Nothing") {
		t.Errorf("nothing: status %d, %q", status, out)
	}
	if status, _, errs := r.do(t, "expiring", "--tenant", "none"); status != 1 || !strings.Contains(errs, "no tenant none") {
		t.Errorf("no such tenant: status %d, %q", status, errs)
	}
	if status, _, _ := r.do(t, "expiring", "--within", "-1h"); status != 2 {
		t.Errorf("--within -1h: status %d", status)
	}
}
