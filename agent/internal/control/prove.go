package control

import (
	"context"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/proof"
	"github.com/wolkvox/backup/internal/wire"
)

// ProveItem makes the proof of one recording, or names those that fit. It asks neither the server nor the destination.
func (s *Service) ProveItem(ctx context.Context, request *backupv1.ProveItemRequest) (*backupv1.ProveItemResponse, error) {
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return nil, err
	}
	wanted, err := wire.ParseWantedItem(request.GetWanted())
	if err != nil {
		return nil, err
	}
	found, err := proof.Find(ctx, d.Log, d.Log.RawLines, wanted)
	if err != nil {
		return nil, wire.ProofError(err)
	}
	response := &backupv1.ProveItemResponse{Candidates: wire.FoundItems(found)}
	if len(found) > 1 {
		return response, nil
	}
	made, err := proof.Make(ctx, d.Log, d.Log.RawLines, found[0].Manifest, found[0].Index)
	if err != nil {
		return nil, wire.ProofError(err)
	}
	response.Proof = wire.ItemProof(found[0], made)
	return response, nil
}
