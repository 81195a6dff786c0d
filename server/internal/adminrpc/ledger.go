package adminrpc

import (
	"context"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// VerifyLedger folds a log from nothing and compares it with what is kept.
func (s *Service) VerifyLedger(ctx context.Context, req *backupv1.VerifyLedgerRequest) (*backupv1.VerifyLedgerResponse, error) {
	_, seq, err := s.sequencer(ctx, req.GetTenant(), req.GetDestination())
	if err != nil {
		return nil, err
	}
	report, err := seq.Ledger().Verify(ctx)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return &backupv1.VerifyLedgerResponse{Report: wire.LedgerReport(report)}, nil
}

// ExportLedger streams a log, its manifests and the agreed head as plain files.
func (s *Service) ExportLedger(req *backupv1.ExportLedgerRequest, stream grpc.ServerStreamingServer[backupv1.ExportLedgerResponse]) error {
	_, seq, err := s.sequencer(stream.Context(), req.GetTenant(), req.GetDestination())
	if err != nil {
		return err
	}
	err = seq.Ledger().Export(wire.ExportTo(func(piece *backupv1.ExportedFile) error {
		return stream.Send(&backupv1.ExportLedgerResponse{File: piece})
	}))
	if err != nil {
		return s.failed(stream.Context(), err)
	}
	return nil
}
