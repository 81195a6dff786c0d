package control

import (
	"cmp"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/report"
	"github.com/wolkvox/backup/agent/internal/tally"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

const (
	// reportNights is how many nights are reported of where nobody says.
	reportNights = 30
	// maxReportNights is how many nights one report has at most: ten years.
	maxReportNights = 3660
	// reportFiles is how many recordings are in one message.
	reportFiles = 256
)

// Report streams what became of some nights' recordings.
func (s *Service) Report(request *backupv1.ReportRequest, stream grpc.ServerStreamingServer[backupv1.ReportResponse]) error {
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return err
	}
	period, silence, err := s.reportPeriod(d, request)
	if err != nil {
		return err
	}
	head := &backupv1.ReportHead{
		Destination: d.Name, Location: d.Location, Origin: string(d.Log.Origin()), FirstNight: period.From.String(), LastNight: period.To.String(),
		TimeZone: period.Zone.String(), MadeTime: wire.Time(period.At.Truncate(time.Second)), Silence: silence,
	}
	if head.Agreed, err = agreed(d.Log); err != nil {
		return err
	}
	if err := stream.Send(&backupv1.ReportResponse{Part: &backupv1.ReportResponse_Head{Head: head}}); err != nil {
		return err
	}
	ctx := stream.Context()
	sums, err := tally.New(ctx, d.Log, period)
	if err != nil {
		return err
	}
	err = sums.Nights(ctx, func(n report.Night) error {
		return stream.Send(&backupv1.ReportResponse{Part: &backupv1.ReportResponse_Night{Night: nightMessage(n)}})
	})
	if err != nil || !request.GetFiles() {
		return err
	}
	files := &backupv1.ReportFiles{}
	send := func() error {
		err := stream.Send(&backupv1.ReportResponse{Part: &backupv1.ReportResponse_Files{Files: files}})
		files = &backupv1.ReportFiles{}
		return err
	}
	err = sums.Files(ctx, func(f report.File) error {
		if files.Files = append(files.Files, fileMessage(f)); len(files.Files) < reportFiles {
			return nil
		}
		return send()
	})
	if err == nil && len(files.Files) > 0 {
		err = send()
	}
	return err
}

// reportPeriod returns what a request asks for, and why the log may not have all of it.
func (s *Service) reportPeriod(d Destination, request *backupv1.ReportRequest) (period tally.Period, silence string, err error) {
	period.Zone, period.At = time.UTC, d.Limits.Now()
	if d.Limits.Zone != nil {
		if zone := d.Limits.Zone(); zone != nil {
			period.Zone = zone
		}
	}
	period.To = backup.DateOf(period.At.In(period.Zone)).AddDays(-1)
	if text := request.GetLastNight(); text != "" {
		if period.To, err = backup.ParseDate(text); err != nil {
			return period, "", badReport("the last night: %v", err)
		}
	}
	period.From = period.To.AddDays(1 - reportNights)
	if text := request.GetFirstNight(); text != "" {
		if period.From, err = backup.ParseDate(text); err != nil {
			return period, "", badReport("the first night: %v", err)
		}
	}
	switch {
	case period.From.Compare(period.To) > 0:
		return period, "", badReport("the first night, %s, is after the last, %s", period.From, period.To)
	case period.From.AddDays(maxReportNights-1).Compare(period.To) < 0:
		return period, "", badReport("from %s to %s are more than %d nights; ask for fewer", period.From, period.To, maxReportNights)
	}
	if !s.AtWork {
		silence = "the service does not run"
		if d.Faults.Language == fault.Spanish {
			silence = "el servicio no está en marcha"
		}
	} else if err := cmp.Or(s.ServerProblem(), d.LogProblem()); err != nil {
		silence = text(err)
	}
	period.Heard = silence == ""
	return period, silence, nil
}

func badReport(format string, args ...any) error {
	return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, format, args...)
}
