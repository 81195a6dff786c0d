package adminrpc

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/expiring"
)

const (
	// defaultWithin is how near deadlines are that are listed where nobody says.
	defaultWithin = 72 * time.Hour
	maxWithin     = 366 * 24 * time.Hour
)

// ListExpiring streams who has recordings that expire soon, and why.
func (s *Service) ListExpiring(req *backupv1.ListExpiringRequest, stream grpc.ServerStreamingServer[backupv1.ListExpiringResponse]) error {
	within := defaultWithin
	if req.GetWithin() != nil {
		within = req.GetWithin().AsDuration()
		if err := req.GetWithin().CheckValid(); err != nil || within <= 0 || within > maxWithin {
			return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the deadlines asked for are within %v; give more than nothing and at most 366 days", within)
		}
	}
	ctx, at := stream.Context(), time.Now()
	reader := expiring.Reader{Registry: s.Registry, Sequencers: s.Sequencers, Heard: s.Hearer.Heard}
	err := reader.Each(ctx, req.GetTenant(), at, at.Add(within), func(d expiring.Destination) error {
		return stream.Send(&backupv1.ListExpiringResponse{Destination: expiringDestination(d)})
	})
	if err != nil {
		return s.refused(ctx, err)
	}
	return nil
}

func expiringDestination(d expiring.Destination) *backupv1.ExpiringDestination {
	m := &backupv1.ExpiringDestination{
		Tenant: d.Origin.Tenant(), Destination: d.Origin.Destination(), Origin: string(d.Origin), Agent: d.Agent, Rate: wire.DrainRate(d.Rate),
	}
	if !d.HeardAt.IsZero() {
		m.HeardTime = wire.Time(d.HeardAt)
	}
	for _, pending := range d.Pending {
		manifest := wire.ExpiringManifest(pending.Outlook, pending.Night)
		if pending.Fault != nil {
			manifest.LastFault = wire.Fault(*pending.Fault)
		}
		m.Manifests = append(m.Manifests, manifest)
	}
	return m
}
