// Package contentrpc serves ContentService: it streams the contents of pending and expired items from the tenant's
// sources, many files back to back. It serves only a file that still looks like the one that was sealed, and asks for a
// check of every other ([Checker]). It does not hash what it serves: the agent does, and reports what differs.
package contentrpc

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/rpcerror"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/sources"
)

// Checker is told of items whose source is gone or looks different. It does not block, and may be called concurrently.
type Checker interface {
	RequestCheck(origin ledger.Origin, manifest int64, indexes ledger.Set)
}

// Options of [New]. The zero value is what a program uses.
type Options struct {
	MaxStreams         int // at once, over all agents; 0 is 64
	MaxStreamsPerAgent int // at once; 0 is 8
	// MaxTimesPerNight is how many times over an agent may fetch the contents of a manifest within a day; 0 is 8. 64 MiB are
	// let through in any case.
	MaxTimesPerNight int
	BytesPerSecond   int64 // over all agents; 0 is no limit
	// OnServed, where set, is called when the first bytes of an item are about to be sent, with how many will be: its
	// size less the offset asked for. It may be called concurrently and must not block.
	OnServed func(origin ledger.Origin, manifest, index, sizeBytes int64)
	Logger   *slog.Logger // nil: silent
	// Sources opens the tenants' sources; nil: one of the service's own, whose connections last as long as the program.
	Sources *sources.Opener
}

// Service implements ContentService.
type Service struct {
	backupv1.UnsafeContentServiceServer
	sequencers *sequencer.Set
	registry   *registry.Registry
	catalog    *registry.Catalog
	checker    Checker
	options    Options
	pace       pace
	buffers    *buffers
	allowances allowances

	mu      sync.Mutex // guards what follows
	streams map[identity.Role]int
	tenants map[string]int
	total   int
	served  map[ledger.Origin]Served
}

// Served is what was served of one destination since the service was made.
type Served struct {
	Files int64 // those that were begun; one served again counts again
	Bytes int64
}

// New returns the service.
func New(sequencers *sequencer.Set, r *registry.Registry, checker Checker, options Options) *Service {
	if options.MaxStreams == 0 {
		options.MaxStreams = 64
	}
	if options.MaxStreamsPerAgent == 0 {
		options.MaxStreamsPerAgent = 8
	}
	if options.MaxTimesPerNight == 0 {
		options.MaxTimesPerNight = 8
	}
	if options.Sources == nil {
		options.Sources = &sources.Opener{}
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{sequencers: sequencers, registry: r, catalog: r.Catalog(), checker: checker, options: options,
		buffers: &buffers{}, pace: pace{bytesPerSecond: options.BytesPerSecond}, allowances: allowances{times: int64(options.MaxTimesPerNight), used: map[fetched]*allowance{}},
		streams: map[identity.Role]int{}, tenants: map[string]int{}, served: map[ledger.Origin]Served{}}
}

// Served returns what was served of a destination since the service was made.
func (s *Service) Served(origin ledger.Origin) Served {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served[origin]
}

// FetchContents streams the contents of a set of items.
func (s *Service) FetchContents(req *backupv1.FetchContentsRequest, stream grpc.ServerStreamingServer[backupv1.FetchContentsResponse]) error {
	err := s.fetch(req, stream)
	if err == nil {
		return nil
	}
	answer := rpcerror.Status(err)
	if !errors.Is(answer, err) && wire.Reason(answer) == "" && stream.Context().Err() == nil {
		s.options.Logger.LogAttrs(stream.Context(), slog.LevelError, "contents not served", slog.String("origin", req.GetOrigin()),
			slog.Int64("manifest", req.GetManifest()), slog.Any("error", err))
	}
	return answer
}

func (s *Service) fetch(req *backupv1.FetchContentsRequest, stream grpc.ServerStreamingServer[backupv1.FetchContentsResponse]) error {
	seq, role, err := authz.Destination(stream.Context(), s.sequencers, req.GetOrigin())
	if err != nil {
		return err
	}
	if err := seq.CheckSession(req.GetSessionNumber()); err != nil {
		return err
	}
	m, ok := seq.Manifest(req.GetManifest())
	if !ok {
		return wire.Error(codes.NotFound, wire.ReasonNoManifest, "manifest %d of %s is not sealed", req.GetManifest(), seq.Origin())
	}
	indexes, err := wire.ParseIndexes(req.GetIndexes())
	if err != nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "%v", err)
	}
	if indexes.IsEmpty() || indexes.Max() >= m.Items || req.GetReadOffsetBytes() < 0 {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "manifest %d has %d items; %d of them, up to index %d, are asked for, from offset %d of the first",
			m.Number, m.Items, indexes.Len(), indexes.Max(), req.GetReadOffsetBytes())
	}
	at := time.Now()
	allowed := s.allowances.of(role, seq.Origin(), m, at)
	if err := allowed.check(at); err != nil {
		return err
	}
	if !s.admit(role) {
		return wire.RetryError(codes.ResourceExhausted, wire.ReasonTryLater, rpcerror.ComeBack, "the server serves as much as it can at the moment")
	}
	defer s.leave(role)
	states, err := seq.Ledger().States(m.Number)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	f := &fetch{
		service: s, seq: seq, session: req.GetSessionNumber(), manifest: m.Number, indexes: indexes, allowed: allowed,
		wanted: states.Among(indexes, backup.Pending, backup.Expired),
		offset: req.GetReadOffsetBytes(), stream: stream, ctx: ctx, cancel: cancel,
	}
	return f.run()
}

func (s *Service) admit(role identity.Role) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// However many agents a tenant has, it leaves room for another tenant's.
	if s.total >= s.options.MaxStreams || s.streams[role] >= s.options.MaxStreamsPerAgent || s.tenants[role.Tenant] >= max(s.options.MaxStreams/2, 1) {
		return false
	}
	s.total++
	s.tenants[role.Tenant]++
	s.streams[role]++
	return true
}

func (s *Service) leave(role identity.Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.tenants[role.Tenant]--; s.tenants[role.Tenant] == 0 {
		delete(s.tenants, role.Tenant)
	}
	if s.streams[role]--; s.streams[role] == 0 {
		delete(s.streams, role)
	}
}

// count takes down that the first bytes of a file are about to be sent.
func (s *Service) count(origin ledger.Origin, manifest, index, sizeBytes int64) {
	s.mu.Lock()
	served := s.served[origin]
	s.served[origin] = Served{served.Files + 1, served.Bytes + sizeBytes}
	s.mu.Unlock()
	if s.options.OnServed != nil {
		s.options.OnServed(origin, manifest, index, sizeBytes)
	}
}
