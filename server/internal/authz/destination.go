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

// Standing is what an agent is to a destination.
type Standing int

// The standings.
const (
	Stranger Standing = 1 // of the same tenant; its certificate is all that is known
	Former   Standing = 2 // served the destination before
	Current  Standing = 3 // serves it
)

// EverDestination is [Destination] for callers that serve it or ever did, and, where the log may not know any more whom it was
// assigned to, for every agent of the tenant. Such a [Stranger] is shown nothing of the log: it may only show a head that the
// server once signed.
func EverDestination(ctx context.Context, set *sequencer.Set, origin string) (s *sequencer.Sequencer, role identity.Role, standing Standing, err error) {
	role, s, err = find(ctx, set, origin)
	if err != nil {
		return nil, identity.Role{}, 0, err
	}
	if s == nil || role.Tenant != s.Origin().Tenant() {
		return nil, identity.Role{}, 0, notAssigned(role, origin)
	}
	if Serves(role, s) {
		return s, role, Current, nil
	}
	ever, err := s.EverAssigned(role.Name)
	if err != nil {
		return nil, identity.Role{}, 0, err
	}
	if ever {
		return s, role, Former, nil
	}
	return s, role, Stranger, nil
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

// NotAssigned is the status for an agent that is shown nothing of a destination.
func NotAssigned(role identity.Role, s *sequencer.Sequencer) error {
	return notAssigned(role, string(s.Origin()))
}

func notAssigned(role identity.Role, origin string) error {
	return wire.Error(codes.PermissionDenied, wire.ReasonNotAssigned, "the destination %.200q is not served by agent %s", origin, role.Name)
}
