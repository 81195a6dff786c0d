package command

import (
	"strings"
	"testing"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// FindAgentRecordings knows one recording, of interaction 7.1.
func (a *fakeService) FindAgentRecordings(m *backupv1.FindAgentRecordingsRequest, stream grpc.ServerStreamingServer[backupv1.FindAgentRecordingsResponse]) error {
	if m.GetQuery().GetInteraction() != "" && m.GetQuery().GetInteraction() != "7.1" {
		return nil
	}
	return stream.Send(&backupv1.FindAgentRecordingsResponse{Recordings: []*backupv1.FoundRecording{{Destination: "nas", Night: "2026-03-01", Item: &backupv1.Item{
		Manifest: 12, Index: 3, Path: "a/call.gsm", State: backupv1.ItemState_ITEM_STATE_PENDING, LastFault: &backupv1.Fault{Class: "capacity", Party: "client", Message: "the disk is full"},
	}}}})
}

func TestFind(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, args := range [][]string{{"find", "call"}, {"find", "--interaction", "7.1"}, {"find", "--date", "2026-03-01"}} {
		status, out, errs := m.run(args...)
		for _, text := range []string{"nas", "2026-03-01", "12/3", "pending", "a/call.gsm", "the disk is full"} {
			if status != statusGood || !strings.Contains(out, text) {
				t.Errorf("%v: status %d, %q, %q", args, status, out, errs)
			}
		}
	}
	if status, out, _ := m.run("find", "call", "--output", "json"); status != statusGood || !strings.Contains(out, `"night":"2026-03-01"`) {
		t.Errorf("as JSON: status %d, %q", status, out)
	}
	if status, _, errs := m.run("find", "--interaction", "8"); status != statusBad || !strings.Contains(errs, "no manifest") {
		t.Errorf("none: status %d, %q", status, errs)
	}
	for _, args := range [][]string{{"find"}, {"find", "a", "b"}, {"find", "--date", "yesterday"}} {
		if status, _, _ := m.run(args...); status != statusUsage {
			t.Errorf("%v: status %d", args, status)
		}
	}
}
