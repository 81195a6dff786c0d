package control

import (
	"google.golang.org/grpc"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/circuit"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// Check tries whether destinations would take a night's recordings, one after the other, and streams what it finds.
func (s *Service) Check(request *backupv1.CheckRequest, stream grpc.ServerStreamingServer[backupv1.CheckResponse]) error {
	chosen := s.Destinations
	if request.GetDestination() != "" {
		d, err := s.destination(request.GetDestination())
		if err != nil {
			return err
		}
		chosen = []Destination{d}
	}
	ctx := circuit.Force(stream.Context()) // a person asks
	for _, d := range chosen {
		var unsent error
		report, err := d.Probe.Run(ctx, func(line backup.CheckLine) {
			if unsent == nil {
				unsent = stream.Send(&backupv1.CheckResponse{Destination: d.Name, Line: wire.CheckLine(line)})
			}
		})
		if err != nil {
			return err
		}
		if report.Worst < backup.CheckBad {
			d.Night.Circuit.Record(nil) // what was in the way is not any more: the night need not wait for its next try
		}
		if unsent != nil {
			return unsent
		}
		if err := stream.Send(&backupv1.CheckResponse{Destination: d.Name, Report: wire.CheckReport(report)}); err != nil {
			return err
		}
	}
	return nil
}

// lastCheck returns the last check of a destination as far as it is not good; nil where there was none.
func (d Destination) lastCheck() *backupv1.CheckReport {
	report, ok := d.Probe.Last()
	if !ok {
		return nil
	}
	return wire.CheckReport(report.NotGood(len(report.Lines)))
}
