// Package heartbeatrpc serves HeartbeatService: it keeps what agents say of themselves, takes their agreed heads and
// faults, and tells them the time, their window and orders. What was heard is kept in memory at once and in the
// registry every few minutes. It does not judge what it hears, and raises no alarms.
package heartbeatrpc

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/rpcerror"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

const (
	// MaxDestinations is how many destinations one heartbeat may report.
	MaxDestinations = 64
	// keepEvery is how often what was heard is written to the registry.
	keepEvery = 3 * time.Minute
)

// Checker is told of items whose contents did not have the sealed digest. It does not block, and may be called
// concurrently.
type Checker interface {
	RequestCheck(origin ledger.Origin, manifest int64, indexes ledger.Set)
}

// Service implements HeartbeatService.
type Service struct {
	backupv1.UnsafeHeartbeatServiceServer
	sequencers *sequencer.Set
	registry   *registry.Registry
	checker    Checker
	logger     *slog.Logger

	mu    sync.Mutex // guards what follows
	heard map[identity.Role]registry.Heartbeat
	fresh map[identity.Role]bool // heard since the registry was written
}

// New returns the service; its Run has to be called too. A nil logger is silent.
func New(sequencers *sequencer.Set, r *registry.Registry, checker Checker, logger *slog.Logger) *Service {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Service{sequencers: sequencers, registry: r, checker: checker, logger: logger,
		heard: map[identity.Role]registry.Heartbeat{}, fresh: map[identity.Role]bool{}}
}

// Run writes what was heard to the registry from time to time, and once more when ctx ends, whose cause it then returns.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.keep(ctx)
		case <-ctx.Done():
			s.keep(ctx)
			return context.Cause(ctx)
		}
	}
}

func (s *Service) keep(ctx context.Context) {
	s.mu.Lock()
	fresh := make(map[identity.Role]registry.Heartbeat, len(s.fresh))
	for role := range s.fresh {
		fresh[role] = s.heard[role]
	}
	clear(s.fresh)
	s.mu.Unlock()
	for role, heartbeat := range fresh {
		if err := s.registry.Hear(role.Tenant, role.Name, heartbeat); err != nil {
			s.logger.LogAttrs(ctx, slog.LevelError, "heartbeat not kept", slog.String("agent", role.String()), slog.Any("error", err))
		}
	}
}

// Heard returns the last heartbeat of an agent; its time is zero where it was never heard.
func (s *Service) Heard(tenant, agent string) (registry.Heartbeat, error) {
	s.mu.Lock()
	heartbeat, ok := s.heard[identity.AgentRole(tenant, agent)]
	s.mu.Unlock()
	if ok {
		return heartbeat, nil
	}
	return s.registry.Heard(tenant, agent)
}

// Heartbeat takes a report of an agent and answers with the server's word.
func (s *Service) Heartbeat(ctx context.Context, req *backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error) {
	role, err := identity.RoleFromContext(ctx)
	if err != nil {
		return nil, wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "a heartbeat wants an agent's certificate: %v", err)
	}
	if _, err := s.registry.Agent(role.Tenant, role.Name); errors.Is(err, registry.ErrNotFound) || role.Kind != identity.KindAgent {
		return nil, wire.Error(codes.PermissionDenied, wire.ReasonNotEnrolled, "%s is not enrolled here: enroll it", role)
	} else if err != nil {
		return nil, s.status(ctx, err)
	}
	at := time.Now()
	heartbeat, err := parseHeartbeat(req, at)
	if err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "%v", err)
	}
	s.mu.Lock()
	s.heard[role], s.fresh[role] = heartbeat, true
	s.mu.Unlock()
	res := &backupv1.HeartbeatResponse{ServerTime: wire.Time(at)}
	for _, report := range heartbeat.Reports {
		order, err := s.order(ctx, role, report, at)
		if err != nil {
			return nil, s.status(ctx, err)
		}
		res.Destinations = append(res.Destinations, order)
	}
	return res, nil
}

// order answers the report of one destination.
func (s *Service) order(ctx context.Context, role identity.Role, report registry.Report, at time.Time) (*backupv1.DestinationOrder, error) {
	order := &backupv1.DestinationOrder{
		Origin: string(report.Origin), Status: backupv1.AssignmentStatus_ASSIGNMENT_STATUS_NOT_ASSIGNED,
	}
	seq, ok := s.sequencers.Of(report.Origin)
	if !ok || !authz.Serves(role, seq) {
		return order, nil
	}
	if len(report.AgreedHead) > 0 { // before it counts as heard: a log that lacks the head closes nothing
		s.agreed(ctx, seq, report.AgreedHead)
	}
	if report.SessionNumber > 0 {
		err := seq.CheckSession(report.SessionNumber)
		if errors.Is(err, sequencer.ErrSuperseded) {
			order.Status = backupv1.AssignmentStatus_ASSIGNMENT_STATUS_SUPERSEDED
			return order, nil
		}
		if err == nil && report.OutboxCount == 0 {
			seq.Heard(role.Name, report.SessionNumber, report.EchoedTime, at)
		}
	}
	order.Status = backupv1.AssignmentStatus_ASSIGNMENT_STATUS_ASSIGNED
	tenant, err := s.registry.Tenant(role.Tenant)
	if err != nil {
		return nil, err
	}
	destination, err := s.registry.DestinationOf(report.Origin)
	if err != nil {
		return nil, err
	}
	order.RunNumber = destination.RunNumber
	order.Window = &backupv1.NightWindow{
		TimeZone: tenant.TimeZone, Start: durationpb.New(tenant.WindowStart), End: durationpb.New(tenant.WindowEnd),
		BytesPerSecond: tenant.BytesPerSecond,
	}
	return order, nil
}

// agreed takes an agreed head. One that cannot be taken is a matter for people at the server, not for the agent's
// heartbeat.
func (s *Service) agreed(ctx context.Context, seq *sequencer.Sequencer, note []byte) {
	err := seq.RecordAgreement(ctx, note)
	switch {
	case errors.Is(err, sequencer.ErrBusy): // it comes again with the next heartbeat
	case errors.Is(err, sequencer.ErrOfferWanted):
		s.logger.LogAttrs(ctx, slog.LevelError, "an agent agreed to a head that the log does not contain",
			slog.String("origin", string(seq.Origin())), slog.String("head", string(note)))
	case err != nil:
		s.logger.LogAttrs(ctx, slog.LevelWarn, "agreed head not taken", slog.String("origin", string(seq.Origin())), slog.Any("error", err))
	}
}

// ReportFaults keeps faults, and has the server's own source checked where contents did not have the sealed digest.
func (s *Service) ReportFaults(ctx context.Context, req *backupv1.ReportFaultsRequest) (*backupv1.ReportFaultsResponse, error) {
	seq, _, err := authz.Destination(ctx, s.sequencers, req.GetOrigin())
	if err != nil {
		return nil, s.status(ctx, err)
	}
	if err := seq.CheckSession(req.GetSessionNumber()); err != nil {
		return nil, s.status(ctx, err)
	}
	faults, err := parseFaults(seq, req.GetFaults())
	if err != nil {
		return nil, err
	}
	for _, f := range faults {
		if err := seq.Ledger().PutFault(f.manifest, f.indexes, f.fault); err != nil {
			return nil, s.status(ctx, err)
		}
		if f.digestMismatch && f.manifest > 0 {
			s.checker.RequestCheck(seq.Origin(), f.manifest, f.indexes)
		}
	}
	return &backupv1.ReportFaultsResponse{}, nil
}

// status turns err into what the caller sees, and logs what it cannot see.
func (s *Service) status(ctx context.Context, err error) error {
	answer := rpcerror.Status(err)
	if !errors.Is(answer, err) && wire.Reason(answer) == "" && ctx.Err() == nil {
		s.logger.LogAttrs(ctx, slog.LevelError, "call failed", slog.Any("error", err))
	}
	return answer
}
