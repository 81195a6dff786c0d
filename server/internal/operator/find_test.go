package operator

import (
	"strings"
	"testing"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// findingAdmin has one recording, of interaction 7.1.
type findingAdmin struct{ fakeAdmin }

func (*findingAdmin) FindRecordings(m *backupv1.FindRecordingsRequest, stream grpc.ServerStreamingServer[backupv1.FindRecordingsResponse]) error {
	if m.GetTenant() != "acme" || m.GetQuery().GetInteraction() != "" && m.GetQuery().GetInteraction() != "7.1" {
		return nil
	}
	return stream.Send(&backupv1.FindRecordingsResponse{Recordings: []*backupv1.FoundRecording{{
		Destination: "nas", Night: "2026-03-01", Item: &backupv1.Item{Manifest: 12, Index: 3, Path: "a/call.gsm", State: backupv1.ItemState_ITEM_STATE_CONFIRMED, SizeBytes: 11},
	}}})
}

func TestFind(t *testing.T) {
	t.Parallel()
	r := serve(t, &findingAdmin{})
	for _, args := range [][]string{{"find", "acme", "call"}, {"find", "acme", "--interaction", "7.1"}, {"find", "acme", "--date", "2026-03-01", "--destination", "nas"}} {
		status, out, errs := r.do(t, args...)
		for _, text := range []string{"nas", "2026-03-01", "12/3", "confirmed", "a/call.gsm"} {
			if status != 0 || !strings.Contains(out, text) {
				t.Errorf("%v: status %d, %q, %q", args, status, out, errs)
			}
		}
	}
	if status, out, _ := r.do(t, "find", "acme", "call", "--output", "json"); status != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"night":"2026-03-01"`) {
		t.Errorf("as JSON: status %d, %q", status, out)
	}
	if status, out, errs := r.do(t, "find", "acme", "--interaction", "8"); status != 1 || out != "" || !strings.Contains(errs, "no manifest") {
		t.Errorf("none: status %d, %q, %q", status, out, errs)
	}
	for _, args := range [][]string{{"find"}, {"find", "acme"}, {"find", "acme", "--date", "yesterday"}} {
		if status, _, _ := r.do(t, args...); status != 2 {
			t.Errorf("%v: status %d", args, status)
		}
	}
}
