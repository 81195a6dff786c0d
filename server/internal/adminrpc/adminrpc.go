// Package adminrpc serves AdminService: what an operator does with tenants, sources, destinations, tokens, agents,
// nights and ledgers. It is thin: it finds the subject, has the registry, the sealer or the store do the work, and names
// the reason of what they refuse. Who may call it is judged before (package authz).
package adminrpc

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/outage"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/source"
	"github.com/wolkvox/backup/server/internal/sources"
)

// Hearer knows what was last heard of the agents. It may be called concurrently.
type Hearer interface {
	// Heard returns the last heartbeat of an agent; its time is zero where it was never heard.
	Heard(tenant, agent string) (registry.Heartbeat, error)
}

// Service is AdminService. Its fields are set before the first call and all required but Door and Witnessed; its methods may be
// called concurrently.
type Service struct {
	backupv1.UnsafeAdminServiceServer
	Registry    *registry.Registry
	Sequencers  *sequencer.Set
	Sealer      *sealer.Sealer
	Hearer      Hearer
	Authority   *x509.Certificate // whose pin join strings carry
	Certificate *x509.Certificate // the server's own, which has to be good for the addresses in join strings
	Address     string            // HOST:PORT, in join strings that name no other
	Issuer      *identity.Authority
	Revoker     Revoker
	LocalActs   LocalActs
	Outages     *outage.Outages
	Sources     *sources.Opener
	Door        Door // nil where the server has none
	Logger      *slog.Logger
	// Witnessed returns what third parties signed of a log, as witness.txt of an export; of no bytes where they signed nothing.
	Witnessed func(ledger.Origin) ([]byte, error)
	// StateFiles calls each for the files of the state directory that belong into a backup, with their paths in it.
	StateFiles func(each func(path string, data []byte) error) error
}

// done logs a change that an operator made.
func (s *Service) done(ctx context.Context, act, subject string) {
	operator := ""
	if role, err := identity.RoleFromContext(ctx); err == nil {
		operator = role.Name
	}
	s.Logger.LogAttrs(ctx, slog.LevelInfo, "operator's change", slog.String("act", act), slog.String("subject", subject), slog.String("operator", operator))
}

// refused returns what the registry refused with the reason that the contract names, and anything else as failed does.
func (s *Service) refused(ctx context.Context, err error) error {
	if subject, ok := errors.AsType[*registry.SubjectError](err); ok {
		switch reason := subjectReasons[subject.Subject]; {
		case errors.Is(err, registry.ErrNotFound) && reason.missing != "":
			return wire.Error(codes.NotFound, reason.missing, "there is no %s %s; see `wolkvox-server %s list`", subject.Subject, subject.Name, subject.Subject)
		case errors.Is(err, registry.ErrExists) && reason.exists != "":
			return wire.Error(codes.AlreadyExists, reason.exists, "there is already a %s %s", subject.Subject, subject.Name)
		}
	}
	if assigned, ok := errors.AsType[*registry.AssignedError](err); ok {
		return wire.Error(codes.AlreadyExists, wire.ReasonDestinationAssigned, "%v", assigned)
	}
	switch {
	case errors.Is(err, registry.ErrEnded), errors.Is(err, sequencer.ErrRetired), errors.Is(err, sealer.ErrEnded):
		return wire.Error(codes.FailedPrecondition, wire.ReasonRetired, "%v", err)
	case errors.Is(err, registry.ErrNotServing):
		return wire.Error(codes.FailedPrecondition, wire.ReasonNotAssigned, "%v", err)
	}
	for _, invalid := range invalidReasons {
		if errors.Is(err, invalid.err) {
			return wire.Error(codes.InvalidArgument, invalid.reason, "%v", err)
		}
	}
	return s.failed(ctx, err)
}

type reasons struct{ missing, exists string }

var subjectReasons = map[registry.Subject]reasons{
	registry.SubjectTenant:      {wire.ReasonNoTenant, wire.ReasonTenantExists},
	registry.SubjectSource:      {"", wire.ReasonSourceExists},
	registry.SubjectDestination: {wire.ReasonNoDestination, wire.ReasonDestinationExists},
	registry.SubjectDoorKey:     {wire.ReasonNoDoorKey, wire.ReasonDoorKeyExists},
}

var invalidReasons = []struct {
	err    error
	reason string
}{
	{registry.ErrBadName, wire.ReasonBadName},
	{registry.ErrBadTimeZone, wire.ReasonBadTimeZone},
	{registry.ErrBadWindow, wire.ReasonBadWindow},
	{registry.ErrBadPath, wire.ReasonBadPath},
	{registry.ErrBadLifetime, wire.ReasonBadRequest},
	{registry.ErrBadQuota, wire.ReasonBadRequest},
}

// failed returns err as a status. Whoever calls runs this server, so the message says all; the log has it too.
func (s *Service) failed(ctx context.Context, err error) error {
	if st, ok := status.FromError(err); ok && st.Code() != codes.Unknown {
		return err
	}
	if ctx.Err() != nil {
		return status.FromContextError(context.Cause(ctx)).Err()
	}
	if errors.Is(err, source.ErrUnreachable) {
		return wire.Error(codes.Unavailable, wire.ReasonSourceUnreachable, "%v", err)
	}
	if errors.Is(err, sequencer.ErrRecovering) {
		return wire.Error(codes.Unavailable, wire.ReasonTryLater, "%v", err)
	}
	s.Logger.LogAttrs(ctx, slog.LevelError, "operator's call failed", slog.Any("error", err))
	return status.Error(codes.Internal, err.Error())
}

// sequencer returns the destination of that name and the sequencer of its log. A log that was restarted is named by its
// origin in place of the destination's name.
func (s *Service) sequencer(ctx context.Context, tenant, destination string) (registry.Destination, *sequencer.Sequencer, error) {
	d, err := s.Registry.Destination(tenant, destination)
	if origin, notOrigin := ledger.ParseOrigin(destination); notOrigin == nil && origin.Tenant() == tenant {
		d, err = s.Registry.DestinationOf(origin)
	}
	if err != nil {
		return registry.Destination{}, nil, s.refused(ctx, err)
	}
	seq, ok := s.Sequencers.Of(d.Origin)
	if !ok {
		return registry.Destination{}, nil, s.failed(ctx, errors.New("the log "+string(d.Origin)+" is not open: restart the server"))
	}
	return d, seq, nil
}
