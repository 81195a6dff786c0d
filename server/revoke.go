package server

import (
	"context"
	"time"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/registry"
)

// revoker refuses certificates from now on: the registry keeps it, and the guard ends what is open.
type revoker struct {
	registry *registry.Registry
	guard    *authz.Guard
}

// RevokeTenant implements adminrpc.Revoker.
func (r revoker) RevokeTenant(_ context.Context, tenant string, at time.Time) (revoked []string, err error) {
	agents, err := r.registry.Agents(tenant)
	if err != nil {
		return nil, err
	}
	before, err := r.registry.RevokedAgents()
	if err != nil {
		return nil, err
	}
	known := map[identity.Role]bool{}
	for _, a := range before {
		known[identity.AgentRole(a.Tenant, a.Name)] = true
	}
	for _, a := range agents {
		if err := r.registry.RevokeAgent(tenant, a.Name, at); err != nil {
			return revoked, err
		}
		r.guard.RevokeAgent(tenant, a.Name)
		if role := identity.AgentRole(tenant, a.Name); !known[role] {
			revoked = append(revoked, role.String())
		}
	}
	credentials, err := r.registry.Credentials(tenant)
	if err != nil {
		return revoked, err
	}
	for _, c := range credentials {
		if _, err := r.registry.RevokeCredential(c.Serial, at); err != nil {
			return revoked, err
		}
		r.guard.RevokeCertificate(c.Serial)
		if c.RevokedAt == nil {
			revoked = append(revoked, c.Role.String())
		}
	}
	return revoked, nil
}
