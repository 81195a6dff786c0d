package adminrpc

import (
	"context"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
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
	// Where nothing was agreed yet, the server's own head goes with the ledger. It is signed first, so that it never names
	// more entries than the export has.
	head, _, err := seq.Head()
	if err != nil {
		return s.failed(stream.Context(), err)
	}
	// What witnesses signed is read first too, for the same reason.
	var witnessed []byte
	if s.Witnessed != nil {
		if witnessed, err = s.Witnessed(seq.Origin()); err != nil {
			return s.failed(stream.Context(), err)
		}
	}
	hasHead := false
	send := func(piece *backupv1.ExportedFile) error {
		hasHead = hasHead || piece.GetPath() == ledger.ExportedHead
		return stream.Send(&backupv1.ExportLedgerResponse{File: piece})
	}
	if err := seq.Ledger().Export(wire.ExportTo(send)); err != nil {
		return s.failed(stream.Context(), err)
	}
	if !hasHead {
		if err := send(&backupv1.ExportedFile{Path: ledger.ExportedHead, Data: head}); err != nil {
			return err
		}
	}
	if len(witnessed) == 0 {
		return nil
	}
	return send(&backupv1.ExportedFile{Path: ledger.ExportedWitness, Data: witnessed})
}
