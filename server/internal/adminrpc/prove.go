package adminrpc

import (
	"context"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/proof"
	"github.com/wolkvox/backup/internal/wire"
)

// ProveLedgerItem makes the proof of one recording, or names those that fit.
func (s *Service) ProveLedgerItem(ctx context.Context, req *backupv1.ProveLedgerItemRequest) (*backupv1.ProveLedgerItemResponse, error) {
	_, seq, err := s.sequencer(ctx, req.GetTenant(), req.GetDestination())
	if err != nil {
		return nil, err
	}
	wanted, err := wire.ParseWantedItem(req.GetWanted())
	if err != nil {
		return nil, err
	}
	log := seq.Ledger()
	found, err := proof.Find(ctx, log, log.RawLines, wanted)
	if err != nil {
		return nil, s.failed(ctx, wire.ProofError(err))
	}
	res := &backupv1.ProveLedgerItemResponse{Candidates: wire.FoundItems(found)}
	if len(found) > 1 {
		return res, nil
	}
	made, err := proof.Make(ctx, log, log.RawLines, found[0].Manifest, found[0].Index)
	if err != nil {
		return nil, s.failed(ctx, wire.ProofError(err))
	}
	res.Proof = wire.ItemProof(found[0], made)
	return res, nil
}
