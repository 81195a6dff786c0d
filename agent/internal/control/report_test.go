package control

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/report"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

func TestReport(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.limits.zone = time.UTC
	check(t, r.log.PutFault(1, ledger.NewSet(ledger.Range{First: 1, Last: 1}), store.Fault{Class: "network", Party: "network", Code: "ETIMEDOUT", Message: "too slow", Last: noon}))
	stream, err := r.ask(t).Report(t.Context(), &backupv1.ReportRequest{Destination: "nas", FirstNight: "2026-02-28", LastNight: "2026-03-02", Files: true})
	check(t, err)
	first, err := stream.Recv()
	check(t, err)
	head, err := ParseReportHead(first.GetHead())
	check(t, err)
	if head.Zone != time.UTC || head.Silence != "" || !head.Made.Equal(noon) || head.From.String() != "2026-02-28" {
		t.Errorf("the head is %+v", head)
	}
	var files []report.File
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		if m.GetNight() != nil {
			n, err := ParseReportNight(m.GetNight())
			check(t, err)
			head.Nights = append(head.Nights, n)
		}
		for _, f := range m.GetFiles().GetFiles() {
			file, err := ParseReportFile(f)
			check(t, err)
			files = append(files, file)
		}
	}
	var standings []report.Standing
	for _, n := range head.Nights {
		standings = append(standings, n.Standing)
	}
	if diff := cmp.Diff([]report.Standing{report.Before, report.Sealed, report.NotDue}, standings); diff != "" {
		t.Errorf("standings (-want +got):\n%s", diff)
	}
	cause := report.Cause{State: backup.Pending, Class: "network", Party: "network", Code: "ETIMEDOUT", Message: "too slow", Items: 1}
	if n := head.Nights[1]; n.States[backup.Pending].Items != 3 || n.States[backup.Pending].Bytes != 33 || len(n.Causes) != 1 || n.Causes[0] != cause || !n.Deadline.Equal(noon.AddDate(0, 0, 15)) {
		t.Errorf("the night is %+v", n)
	}
	if len(files) != 3 || files[1].Item.Path != "b.gsm" || files[1].Cause != cause || files[0].Cause != (report.Cause{}) || files[2].Sound != 0 {
		t.Errorf("the files are %+v", files)
	}
	for _, bad := range [][2]string{{"2026-03-02", "2026-03-01"}, {"1980-01-01", "2026-03-01"}, {"x", ""}, {"", "2026-02-30"}} {
		stream, err := r.ask(t).Report(t.Context(), &backupv1.ReportRequest{Destination: "nas", FirstNight: bad[0], LastNight: bad[1]})
		check(t, err)
		if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("from %q to %q: %v", bad[0], bad[1], err)
		}
	}
}

// Where nobody says which nights, the last 30 are meant; and an agent that is not at work says so.
func TestReportByDefault(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.service.AtWork = false
	period, silence, err := r.service.reportPeriod(r.service.Destinations[0], &backupv1.ReportRequest{})
	check(t, err)
	if period.From.String() != "2026-01-30" || period.To.String() != "2026-02-28" || period.Heard || silence == "" || period.Zone != time.UTC {
		t.Errorf("the period is %+v, %q", period, silence)
	}
}

// What the service says of a night is what the command reads.
func TestReportNightTravels(t *testing.T) {
	t.Parallel()
	many := int64(700)
	n := report.Night{Date: backup.Date{Year: 2026, Month: 3, Day: 1}, Standing: report.Sealed, Manifests: 2, Replaced: 3, Deadline: noon, Interactions: &many,
		Causes: []report.Cause{{State: backup.Expired, Class: "quota", Party: "client", Code: "EDQUOT", Message: "full", Items: 9}}, Unrecorded: []report.Reason{{Code: "abandoned", Count: 7}}}
	for i := range n.States[1:] {
		n.States[i+1] = report.Amount{Items: int64(i), Bytes: 100 * int64(i), Sound: time.Duration(i) * time.Minute, Unmeasured: int64(i / 2)}
	}
	got, err := ParseReportNight(nightMessage(n))
	check(t, err)
	if diff := cmp.Diff(n, got); diff != "" {
		t.Errorf("(-sent +read):\n%s", diff)
	}
	for name, change := range map[string]func(*backupv1.ReportNight){
		"standing": func(m *backupv1.ReportNight) { m.Standing = 0 }, "unknown standing": func(m *backupv1.ReportNight) { m.Standing = 99 },
		"state": func(m *backupv1.ReportNight) { m.Amounts[0].State = 0 }, "negative": func(m *backupv1.ReportNight) { m.Amounts[0].ItemCount = -1 },
		"date": func(m *backupv1.ReportNight) { m.Night = "today" }, "cause": func(m *backupv1.ReportNight) { m.Causes[0].State = 77 },
	} {
		m := nightMessage(n)
		change(m)
		if _, err := ParseReportNight(m); err == nil {
			t.Errorf("a night with a wrong %s is taken", name)
		}
	}
}
