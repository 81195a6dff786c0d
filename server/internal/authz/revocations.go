package authz

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
)

// revocations knows who was revoked, and who is calling. The zero value knows of nobody.
type revocations struct {
	mu      sync.Mutex
	serials map[string]struct{}        // of revoked certificates
	agents  map[identity.Role]struct{} // revoked with all their certificates
	open    map[*call]struct{}         // what is going on
}

// call is one that has not ended.
type call struct {
	serial string
	role   identity.Role
	end    context.CancelCauseFunc
}

// RevokeCertificate refuses the certificate with this serial number ([identity.Serial]) from now on, and ends the calls
// that were made with it.
func (g *Guard) RevokeCertificate(serial string) {
	r := &g.revoked
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.serials == nil {
		r.serials = make(map[string]struct{})
	}
	r.serials[serial] = struct{}{}
	r.endRevoked()
}

// RevokeAgent refuses all certificates of an agent from now on, and ends its calls.
func (g *Guard) RevokeAgent(tenant, agent string) {
	r := &g.revoked
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.agents == nil {
		r.agents = make(map[identity.Role]struct{})
	}
	r.agents[identity.AgentRole(tenant, agent)] = struct{}{}
	r.endRevoked()
}

// endRevoked ends the calls of the revoked. The lock is held.
func (r *revocations) endRevoked() {
	for c := range r.open {
		if r.isRevoked(c.serial, c.role) {
			c.end(revokedError(c.role))
		}
	}
}

func (r *revocations) isRevoked(serial string, role identity.Role) bool {
	_, certificate := r.serials[serial]
	_, agent := r.agents[role]
	return certificate || agent
}

// enter begins a call, unless its caller was revoked; the error is then a status. The context ends when the caller is
// revoked.
func (r *revocations) enter(ctx context.Context, serial string, role identity.Role) (entered context.Context, leave func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isRevoked(serial, role) {
		return nil, nil, revokedError(role)
	}
	entered, end := context.WithCancelCause(ctx)
	c := &call{serial, role, end}
	if r.open == nil {
		r.open = make(map[*call]struct{})
	}
	r.open[c] = struct{}{}
	return entered, func() {
		r.mu.Lock()
		delete(r.open, c)
		r.mu.Unlock()
		end(nil)
	}, nil
}

func revokedError(role identity.Role) error {
	return wire.Error(codes.PermissionDenied, wire.ReasonRevoked, "the certificate of %s was revoked: whoever runs the server says why, and issues another", role)
}

// revocation returns the status of a call whose caller was revoked since it began, nil while he was not.
func revocation(ctx context.Context) error {
	if cause := context.Cause(ctx); wire.Reason(cause) == wire.ReasonRevoked {
		return cause
	}
	return nil
}
