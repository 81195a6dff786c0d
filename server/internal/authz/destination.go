package authz

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// Destination returns the sequencer of the destination whose log has this origin, if the caller is the agent that
// serves it. The error is a status: PERMISSION_DENIED NOT_ASSIGNED, also where there is no such destination, so that
// nobody learns which exist.
func Destination(ctx context.Context, set *sequencer.Set, origin string) (*sequencer.Sequencer, identity.Role, error) {
	role, s, err := find(ctx, set, origin)
	if err != nil {
		return nil, identity.Role{}, err
	}
	if s == nil || !Serves(role, s) {
		return nil, identity.Role{}, notAssigned(role, origin)
	}
	return s, role, nil
}

// EverDestination is [Destination] for callers that serve it or ever did; current tells them apart.
func EverDestination(ctx context.Context, set *sequencer.Set, origin string) (s *sequencer.Sequencer, role identity.Role, current bool, err error) {
	role, s, err = find(ctx, set, origin)
	if err != nil {
		return nil, identity.Role{}, false, err
	}
	ever := false
	if s != nil && role.Tenant == s.Origin().Tenant() {
		if ever, err = s.EverAssigned(role.Name); err != nil {
			return nil, identity.Role{}, false, err
		}
	}
	if !ever {
		return nil, identity.Role{}, false, notAssigned(role, origin)
	}
	return s, role, Serves(role, s), nil
}

// Serves reports whether the holder of the role is the agent last assigned in the log.
func Serves(role identity.Role, s *sequencer.Sequencer) bool {
	agent, _, ok := s.Assigned()
	return ok && role == identity.AgentRole(s.Origin().Tenant(), agent)
}

func find(ctx context.Context, set *sequencer.Set, origin string) (identity.Role, *sequencer.Sequencer, error) {
	role, err := identity.RoleFromContext(ctx)
	if err != nil {
		return identity.Role{}, nil, wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "the call wants a certificate with a role: %v", err)
	}
	if role.Kind != identity.KindAgent {
		return identity.Role{}, nil, wire.Error(codes.PermissionDenied, wire.ReasonNotAllowed, "%s is no agent", role)
	}
	s, _ := set.Of(ledger.Origin(origin))
	return role, s, nil
}

func notAssigned(role identity.Role, origin string) error {
	return wire.Error(codes.PermissionDenied, wire.ReasonNotAssigned, "the destination %.200q is not served by agent %s", origin, role.Name)
}
