package adminrpc

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sealer"
)

// SealNight looks at a tenant's sources now and seals what is new.
func (s *Service) SealNight(ctx context.Context, req *backupv1.SealNightRequest) (*backupv1.SealNightResponse, error) {
	results, err := s.Sealer.Seal(ctx, req.GetTenant(), req.GetDestination(), req.GetWait())
	switch {
	case errors.Is(err, sealer.ErrNoSource):
		return nil, wire.Error(codes.FailedPrecondition, wire.ReasonNoSource, "%v", err)
	case errors.Is(err, sealer.ErrNoDestination):
		return nil, wire.Error(codes.NotFound, wire.ReasonNoDestination, "%v", err)
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, sealer.ErrEnded):
		return nil, s.refused(ctx, err)
	case err != nil:
		return nil, s.failed(ctx, err)
	}
	s.done(ctx, "seal", req.GetTenant()+"/"+req.GetDestination())
	res := &backupv1.SealNightResponse{}
	for _, r := range results {
		result, err := s.sealResult(ctx, r)
		if err != nil {
			return nil, err
		}
		res.Results = append(res.Results, result)
	}
	return res, nil
}

func (s *Service) sealResult(ctx context.Context, r sealer.Result) (*backupv1.SealResult, error) {
	_, seq, err := s.sequencer(ctx, r.Destination.Tenant, r.Destination.Name)
	if err != nil {
		return nil, err
	}
	result := &backupv1.SealResult{Destination: r.Destination.Name, UnsettledCount: r.UnsettledCount, Problems: r.Problems}
	for _, number := range r.Sealed {
		m, ok := seq.Manifest(number)
		if !ok {
			return nil, s.failed(ctx, errors.New("a manifest that was sealed is not in the log"))
		}
		night, err := wire.Night(seq.Ledger(), m)
		if err != nil {
			return nil, s.failed(ctx, err)
		}
		result.Nights = append(result.Nights, night)
	}
	return result, nil
}
