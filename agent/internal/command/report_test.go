package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (a *fakeService) Report(m *backupv1.ReportRequest, stream grpc.ServerStreamingServer[backupv1.ReportResponse]) error {
	a.mu.Lock()
	a.asked = m
	a.mu.Unlock()
	if err := a.known(m.GetDestination()); err != nil {
		return err
	}
	for _, part := range a.parts {
		if part.GetFiles() != nil && !m.GetFiles() {
			continue
		}
		if err := stream.Send(part); err != nil {
			return err
		}
	}
	return a.fails
}

func reportParts() []*backupv1.ReportResponse {
	file := &backupv1.ReportFile{Night: "2026-03-01", Item: &backupv1.Item{Manifest: 1, Index: 0, Path: "calls/a.gsm", Sha256: make([]byte, 32), SizeBytes: 33,
		Kind: backupv1.MediaKind_MEDIA_KIND_GSM, State: backupv1.ItemState_ITEM_STATE_CONFIRMED}}
	return []*backupv1.ReportResponse{
		{Part: &backupv1.ReportResponse_Head{Head: &backupv1.ReportHead{Destination: "nas", Location: "/mnt/nas", FirstNight: "2026-03-01", LastNight: "2026-03-02", TimeZone: "UTC", MadeTime: &timestamppb.Timestamp{Seconds: 1772500000}}}},
		{Part: &backupv1.ReportResponse_Night{Night: &backupv1.ReportNight{Night: "2026-03-01", Standing: backupv1.NightStanding_NIGHT_STANDING_SEALED, ManifestCount: 1,
			Amounts: []*backupv1.ReportAmount{{State: backupv1.ItemState_ITEM_STATE_CONFIRMED, ItemCount: 1, SizeBytes: 33}}}}},
		{Part: &backupv1.ReportResponse_Night{Night: &backupv1.ReportNight{Night: "2026-03-02", Standing: backupv1.NightStanding_NIGHT_STANDING_NOT_SEALED}}},
		{Part: &backupv1.ReportResponse_Files{Files: &backupv1.ReportFiles{Files: []*backupv1.ReportFile{file}}}},
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.parts = reportParts()
	m.serve()
	for _, test := range []struct {
		args        []string
		first, last string
		words       []string
	}{
		{nil, "", "", []string{"The one recording that was expected is confirmed.", "not sealed"}},
		{[]string{"nas", "--language", "es", "--month", "2026-02"}, "2026-02-01", "2026-02-28", []string{"La única grabación", "no se selló"}},
		{[]string{"--night", "2026-03-01", "--files", "--format", "csv"}, "2026-03-01", "2026-03-01", []string{"calls/a.gsm", "\r\n"}},
		{[]string{"--from", "2026-03-01", "--until", "2026-03-02", "--output", "json"}, "2026-03-01", "2026-03-02", []string{`"standing": "not-sealed"`}},
		{[]string{"--format", "html"}, "", "", []string{"<!DOCTYPE html>"}},
	} {
		status, out, errs := m.run(append([]string{"report"}, test.args...)...)
		if status != statusGood {
			t.Fatalf("report %q: %d %s", test.args, status, errs)
		}
		if m.agent.asked.GetFirstNight() != test.first || m.agent.asked.GetLastNight() != test.last {
			t.Errorf("report %q asks for %v", test.args, m.agent.asked)
		}
		for _, words := range test.words {
			if !strings.Contains(out, words) {
				t.Errorf("report %q does not say %q:\n%s", test.args, words, out)
			}
		}
	}
	for _, args := range [][]string{
		{"--night", "2026-03-01", "--month", "2026-03"}, {"--month", "2026-3"}, {"--night", "yesterday"}, {"--format", "pdf"}, {"--to", "report"}, {"--language", "fr"}, {"a", "b"},
	} {
		if status, _, errs := m.run(append([]string{"report"}, args...)...); status != statusUsage || errs == "" {
			t.Errorf("report %q: %d %s", args, status, errs)
		}
	}
}

// A file has its name only when all of the report is in it.
func TestReportFile(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.parts = reportParts()
	target := filepath.Join(m.dir, "march.html")
	if status, out, errs := m.run("report", "--to", target); status != statusGood || !strings.Contains(out, target) {
		t.Fatalf("report: %d %s %s", status, out, errs)
	}
	if text, err := os.ReadFile(target); err != nil || !strings.HasSuffix(strings.TrimSpace(string(text)), "</html>") {
		t.Errorf("the file holds %q, %v", text, err)
	}
	m.agent.parts[3].GetFiles().GetFiles()[0].Item.Sha256 = nil
	other := filepath.Join(m.dir, "files.csv")
	if status, _, errs := m.run("report", "--files", "--to", other); status != statusBad || !strings.Contains(errs, "SHA-256") {
		t.Errorf("a recording without digest: %d %s", status, errs)
	}
	for _, name := range []string{other, other + ".partial", target + ".partial"} {
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
}
