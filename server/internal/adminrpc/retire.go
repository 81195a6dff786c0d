package adminrpc

import (
	"context"
	"time"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

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
	described, err := s.destination(d, seq)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return &backupv1.RetireDestinationResponse{Destination: described}, nil
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

// RetireTenant revokes a tenant's agents and credentials and retires all its destinations. The revoking comes first and is done
// whatever becomes of the rest: a log that is recovering, for one, cannot be retired at the moment.
func (s *Service) RetireTenant(ctx context.Context, req *backupv1.RetireTenantRequest) (*backupv1.RetireTenantResponse, error) {
	at := time.Now()
	if err := s.Registry.EndTenant(req.GetTenant(), at); err != nil {
		return nil, s.refused(ctx, err)
	}
	s.Revoker.RevokeTenant(req.GetTenant())
	if s.Door != nil {
		s.Door.CloseTenant(req.GetTenant())
	}
	res := &backupv1.RetireTenantResponse{}
	var err error
	if res.Revoked, err = s.revokeTenant(req.GetTenant(), at); err != nil {
		return nil, s.failed(ctx, err)
	}
	all, err := s.Registry.Destinations(req.GetTenant())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
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
	s.done(ctx, "retire tenant", req.GetTenant())
	return res, nil
}

// revokeTenant revokes the certificates of all agents, clients and auditors of a tenant and returns the roles of those that
// were not revoked before. Called again it goes on where it stopped.
func (s *Service) revokeTenant(tenant string, at time.Time) (revoked []string, err error) {
	agents, err := s.Registry.Agents(tenant)
	if err != nil {
		return nil, err
	}
	before, err := s.Registry.RevokedAgents()
	if err != nil {
		return nil, err
	}
	known := map[identity.Role]bool{}
	for _, a := range before {
		known[identity.AgentRole(a.Tenant, a.Name)] = true
	}
	for _, a := range agents {
		if err := s.Registry.RevokeAgent(tenant, a.Name, at); err != nil {
			return revoked, err
		}
		s.Revoker.RevokeAgent(tenant, a.Name)
		if role := identity.AgentRole(tenant, a.Name); !known[role] {
			revoked = append(revoked, role.String())
		}
	}
	credentials, err := s.Registry.Credentials(tenant)
	if err != nil {
		return revoked, err
	}
	for _, c := range credentials {
		if _, err := s.Registry.RevokeCredential(c.Serial, at); err != nil {
			return revoked, err
		}
		s.Revoker.RevokeCertificate(c.Serial)
		if c.RevokedAt == nil {
			revoked = append(revoked, c.Role.String())
		}
	}
	return revoked, nil
}
