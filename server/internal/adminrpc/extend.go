package adminrpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/outage"
	"github.com/wolkvox/backup/server/internal/registry"
)

// maxExtension is the longest time by which a deadline is moved at once.
const maxExtension = 366 * 24 * time.Hour

// ExtendDeadlines moves deadlines of manifests, or says with a dry run what it would do.
func (s *Service) ExtendDeadlines(ctx context.Context, req *backupv1.ExtendDeadlinesRequest) (*backupv1.ExtendDeadlinesResponse, error) {
	wanted, err := s.extension(ctx, req)
	if err != nil {
		return nil, err
	}
	extensions, err := s.Outages.Extend(ctx, wanted, time.Now())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	res := &backupv1.ExtendDeadlinesResponse{}
	for _, e := range extensions {
		m := &backupv1.Extension{
			Tenant: e.Tenant, Destination: e.Destination, Manifest: e.Manifest, PendingCount: e.PendingCount, Problem: e.Problem,
		}
		if !e.Old.IsZero() {
			m.OldDeadline, m.NewDeadline = wire.Time(e.Old), wire.Time(e.New)
		}
		res.Extensions = append(res.Extensions, m)
	}
	if !wanted.DryRun {
		s.done(ctx, "extend deadlines", fmt.Sprintf("%d manifests", len(res.GetExtensions())))
	}
	return res, nil
}

// extension reads a request. The error is a status.
func (s *Service) extension(ctx context.Context, req *backupv1.ExtendDeadlinesRequest) (outage.Request, error) {
	bad := func(format string, args ...any) (outage.Request, error) {
		return outage.Request{}, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "extend deadlines: "+format, args...)
	}
	wanted := outage.Request{
		Tenant: req.GetTenant(), Destination: req.GetDestination(), Manifest: req.GetManifest(),
		By: req.GetBy().AsDuration(), ClosedToo: req.GetClosedToo(), DryRun: req.GetDryRun(),
	}
	switch req.GetReason() {
	case backupv1.ExtensionReason_EXTENSION_REASON_OUTAGE:
	case backupv1.ExtensionReason_EXTENSION_REASON_COURTESY:
		wanted.Courtesy = true
	default:
		return bad("the reason is missing or unknown")
	}
	switch {
	case req.GetDestination() != "" && req.GetTenant() == "":
		return bad("a destination is named without its tenant")
	case req.GetManifest() < 0 || req.GetManifest() > 0 && req.GetDestination() == "":
		return bad("a manifest counts from 1 and is one of a destination")
	case req.GetOutage() != 0 && (req.GetBy() != nil || wanted.Courtesy):
		return bad("what answers an outage is moved by its length, and for that reason alone")
	case req.GetOutage() == 0 && (req.GetBy().CheckValid() != nil || wanted.By < time.Second || wanted.By > maxExtension):
		return bad("name an outage, or a length of time of at least a second and at most 366 days")
	}
	if n := req.GetOutage(); n != 0 {
		found, err := s.Registry.Outage(n)
		if errors.Is(err, registry.ErrNotFound) {
			return bad("there is no outage %d; see `wolkvox-server outages`", n)
		}
		if err != nil {
			return outage.Request{}, s.failed(ctx, err)
		}
		wanted.Outage = found
	}
	if n := req.GetManifest(); n != 0 {
		_, seq, err := s.sequencer(ctx, req.GetTenant(), req.GetDestination())
		if err != nil {
			return outage.Request{}, err
		}
		if _, sealed := seq.Manifest(n); !sealed {
			return outage.Request{}, wire.Error(codes.NotFound, wire.ReasonNoManifest, "manifest %d of %s is not sealed; the last one is %d", n, seq.Origin(), seq.Last())
		}
	}
	return wanted, nil
}

// ListOutages lists when the server was not there.
func (s *Service) ListOutages(ctx context.Context, _ *backupv1.ListOutagesRequest) (*backupv1.ListOutagesResponse, error) {
	at := time.Now()
	outages, err := s.Registry.Outages(at)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	res := &backupv1.ListOutagesResponse{}
	for _, o := range outages {
		count, err := s.Outages.ManifestCount(ctx, o, at)
		if err != nil {
			return nil, s.failed(ctx, err)
		}
		res.Outages = append(res.Outages, &backupv1.Outage{
			Number: o.Number, StartTime: wire.Time(o.Start), EndTime: wire.Time(o.End), ManifestCount: count, AnswerTime: wire.Time(o.AnsweredAt),
		})
	}
	return res, nil
}
