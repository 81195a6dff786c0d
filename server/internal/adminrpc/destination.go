package adminrpc

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// CreateDestination registers a place for a tenant's recordings and begins its log.
func (s *Service) CreateDestination(ctx context.Context, req *backupv1.CreateDestinationRequest) (*backupv1.CreateDestinationResponse, error) {
	kind, err := wire.ParseStorageKind(req.GetKind())
	if err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "create destination: %v", err)
	}
	at := time.Now()
	d, err := s.Registry.CreateDestination(req.GetTenant(), req.GetName(), kind, at)
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	s.done(ctx, "create destination", string(d.Origin))
	seq, err := s.Sequencers.Add(ctx, d, at)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	described, err := s.destination(d, seq)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return &backupv1.CreateDestinationResponse{Destination: described}, nil
}

// ListDestinations lists destinations with their logs.
func (s *Service) ListDestinations(ctx context.Context, req *backupv1.ListDestinationsRequest) (*backupv1.ListDestinationsResponse, error) {
	all, err := s.Registry.Destinations(req.GetTenant())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	res := &backupv1.ListDestinationsResponse{}
	for _, d := range all {
		seq, ok := s.Sequencers.Of(d.Origin)
		if !ok { // while it is being created
			continue
		}
		described, err := s.destination(d, seq)
		if err != nil {
			return nil, s.failed(ctx, err)
		}
		res.Destinations = append(res.Destinations, described)
	}
	return res, nil
}

// RequestRun asks the agent of a destination, with its next heartbeat, to run now.
func (s *Service) RequestRun(ctx context.Context, req *backupv1.RequestRunRequest) (*backupv1.RequestRunResponse, error) {
	if _, err := s.Registry.RequestRun(req.GetTenant(), req.GetDestination()); err != nil {
		return nil, s.refused(ctx, err)
	}
	s.done(ctx, "request run", req.GetTenant()+"/"+req.GetDestination())
	return &backupv1.RequestRunResponse{}, nil
}

// CreateToken makes a join string.
func (s *Service) CreateToken(ctx context.Context, req *backupv1.CreateTokenRequest) (*backupv1.CreateTokenResponse, error) {
	if err := req.GetLifetime().CheckValid(); err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the lifetime of the token is missing or no duration")
	}
	address := req.GetServerAddress()
	if address == "" {
		address = s.Address
	}
	if err := s.checkAddress(address); err != nil {
		return nil, err
	}
	d, err := s.Registry.Destination(req.GetTenant(), req.GetDestination())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	at := time.Now()
	token := join.Join{
		Server: address, Pin: identity.KeyHash(s.Authority), Secret: join.NewSecret(), Origin: d.Origin,
		ExpireTime: at.Add(req.GetLifetime().AsDuration()).UTC().Truncate(time.Second),
	}
	text, err := token.Format()
	if err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "%v", err)
	}
	if err := s.createToken(ctx, token, req.GetForAgent(), at); err != nil {
		return nil, s.refused(ctx, err)
	}
	s.done(ctx, "create token", string(d.Origin))
	return &backupv1.CreateTokenResponse{Join: text, ExpireTime: wire.Time(token.ExpireTime)}, nil
}

// createToken keeps a token. Which agent serves the destination stands in the log: what the registry says of it may be of
// an older time, and is put right first.
func (s *Service) createToken(ctx context.Context, token join.Join, forAgent string, at time.Time) error {
	_, seq, err := s.sequencer(ctx, token.Origin.Tenant(), token.Origin.Destination())
	if err != nil {
		return err
	}
	if agent, key, ok := seq.Assigned(); ok {
		if err := s.Registry.NoteAssigned(token.Origin, agent, key); err != nil {
			return err
		}
	}
	if forAgent == "" {
		return s.Registry.CreateToken(token.Secret.Hash(), token.Origin, token.ExpireTime, at)
	}
	return s.Registry.CreateReplacingToken(token.Secret.Hash(), token.Origin, forAgent, token.ExpireTime, at)
}

// checkAddress refuses an address that an agent could not call. The error is a status.
func (s *Service) checkAddress(address string) error {
	if err := join.CheckAddress(address); err != nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "%v", err)
	}
	host, _, _ := net.SplitHostPort(address)
	if err := s.Certificate.VerifyHostname(host); err != nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest,
			"the server's certificate is not good for %s: add it to `names` in the server's configuration, and restart the server", host)
	}
	return nil
}

func (s *Service) destination(d registry.Destination, seq *sequencer.Sequencer) (*backupv1.Destination, error) {
	rec, err := s.Registry.Recovery(d.Origin)
	if err != nil {
		return nil, err
	}
	m := &backupv1.Destination{
		Tenant: d.Tenant, Name: d.Name, Kind: wire.StorageKind(d.Kind), WindowDays: int32(d.Kind.WindowDays()),
		Origin: string(d.Origin), ServerFingerprint: d.ServerKey.Fingerprint(), Position: wire.Position(seq.Ledger().Position()),
		Recovering: rec.Recovering, PreviousOrigin: string(d.Previous.Origin), CurrentServerFingerprint: seq.ServerKey().Fingerprint(),
	}
	seq.Ledger().View(func(log *ledger.Log) { m.Retired = log.Retired })
	if head, ok := seq.Agreed(); ok {
		m.Agreed = wire.Position(head.Size, head.Root)
	}
	if agent, key, ok := seq.Assigned(); ok {
		m.Agent, m.AgentFingerprint = agent, key.Fingerprint()
	}
	return m, nil
}
