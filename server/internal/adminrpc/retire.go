package adminrpc

import (
	"context"
	"time"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// Revoker refuses the certificates of a tenant from now on. It may be called concurrently.
type Revoker interface {
	// RevokeTenant revokes the certificates of all agents, clients and auditors of a tenant and returns the names of those
	// that were not revoked before. Called again it goes on where it stopped.
	RevokeTenant(ctx context.Context, tenant string, at time.Time) (revoked []string, err error)
}

// RetireDestination ends a destination. Whoever calls it again where it did not come to its end has it ended then.
func (s *Service) RetireDestination(ctx context.Context, req *backupv1.RetireDestinationRequest) (*backupv1.RetireDestinationResponse, error) {
	d, seq, err := s.sequencer(ctx, req.GetTenant(), req.GetDestination())
	if err != nil {
		return nil, err
	}
	reason := ledger.RetiredEnded
	if req.GetMoved() {
		reason = ledger.RetiredMoved
	}
	if err := s.retire(ctx, d, seq, reason, time.Now()); err != nil {
		return nil, err
	}
	return &backupv1.RetireDestinationResponse{Destination: destination(d, seq)}, nil
}

// retire lets nobody in for a destination any more and ends its log. The error is a status.
func (s *Service) retire(ctx context.Context, d registry.Destination, seq *sequencer.Sequencer, reason string, at time.Time) error {
	if err := s.Registry.EndDestination(d.Origin, at); err != nil {
		return s.refused(ctx, err)
	}
	if err := seq.Retire(ctx, reason, at); err != nil {
		return s.failed(ctx, err)
	}
	s.done(ctx, "retire destination", string(d.Origin))
	return nil
}

// RetireTenant retires all destinations of a tenant and revokes its agents and credentials.
func (s *Service) RetireTenant(ctx context.Context, req *backupv1.RetireTenantRequest) (*backupv1.RetireTenantResponse, error) {
	at := time.Now()
	if err := s.Registry.EndTenant(req.GetTenant(), at); err != nil {
		return nil, s.refused(ctx, err)
	}
	all, err := s.Registry.Destinations(req.GetTenant())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	res := &backupv1.RetireTenantResponse{}
	for _, d := range all {
		_, seq, err := s.sequencer(ctx, d.Tenant, d.Name)
		if err != nil {
			return nil, err
		}
		if seq.Retired() {
			continue
		}
		if err := s.retire(ctx, d, seq, ledger.RetiredEnded, at); err != nil {
			return nil, err
		}
		res.Destinations = append(res.Destinations, d.Name)
	}
	if res.Revoked, err = s.Revoker.RevokeTenant(ctx, req.GetTenant(), at); err != nil {
		return nil, s.failed(ctx, err)
	}
	s.done(ctx, "retire tenant", req.GetTenant())
	return res, nil
}
