package authz

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
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
	tenants map[string]struct{}        // all of whose people and agents were revoked
	open    map[*call]struct{}         // what is going on
}

// call is one that has not ended.
type call struct {
	serial  string
	keyHash [sha256.Size]byte // of the certificate's public key
	role    identity.Role
	end     context.CancelCauseFunc
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

// RevokeTenant refuses all certificates of a tenant's agents, clients and auditors from now on, also those that nobody here
// knows of, and ends their calls.
func (g *Guard) RevokeTenant(tenant string) {
	r := &g.revoked
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tenants == nil {
		r.tenants = make(map[string]struct{})
	}
	r.tenants[tenant] = struct{}{}
	r.endRevoked()
}

// Replaced ends the calls that an agent made with a certificate over this key ([identity.KeyHash]), which a later one
// replaced: whoever goes on with it holds a copy. Calls that come later are for the admission to refuse.
func (g *Guard) Replaced(tenant, agent string, keyHash [sha256.Size]byte) {
	r := &g.revoked
	r.mu.Lock()
	defer r.mu.Unlock()
	role := identity.AgentRole(tenant, agent)
	for c := range r.open {
		if c.role == role && c.keyHash == keyHash {
			c.end(wire.Error(codes.PermissionDenied, wire.ReasonRevoked, "the certificate of %s was replaced by a later one", role))
		}
	}
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
	_, tenant := r.tenants[role.Tenant]
	return certificate || agent || tenant
}

// enter begins a call, unless its caller was revoked; the error is then a status. The context ends when the caller is
// revoked and, unless afterEnd, with his certificate.
func (r *revocations) enter(ctx context.Context, cert *x509.Certificate, role identity.Role, afterEnd bool) (entered context.Context, leave func(), err error) {
	serial := identity.Serial(cert)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isRevoked(serial, role) {
		return nil, nil, revokedError(role)
	}
	entered, end := context.WithCancelCause(ctx)
	stop := func() {}
	if !afterEnd {
		entered, stop = context.WithDeadlineCause(entered, cert.NotAfter, endedError(cert, role))
	}
	c := &call{serial, identity.KeyHash(cert), role, end}
	if r.open == nil {
		r.open = make(map[*call]struct{})
	}
	r.open[c] = struct{}{}
	return entered, func() {
		r.mu.Lock()
		delete(r.open, c)
		r.mu.Unlock()
		stop()
		end(nil)
	}, nil
}

func revokedError(role identity.Role) error {
	return wire.Error(codes.PermissionDenied, wire.ReasonRevoked, "the certificate of %s was revoked: whoever runs the server says why, and issues another", role)
}

// revocation returns the status of a call whose caller was revoked since it began, or whose certificate has ended, and nil
// for any other.
func revocation(ctx context.Context) error {
	cause := context.Cause(ctx)
	if reason := wire.Reason(cause); reason == wire.ReasonRevoked || reason == wire.ReasonNoCertificate {
		return cause
	}
	return nil
}
