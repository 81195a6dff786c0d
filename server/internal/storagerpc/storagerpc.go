// Package storagerpc serves StorageService: it looks at who asks for which place, and hands over to package storage. It stores
// nothing itself, and tells nobody whether a place exists that is not theirs.
package storagerpc

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/rpcerror"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/storage"
)

const (
	// copiesAtOnce is how many calls of CopyItems are at work at once, and filesAtOnce how many files each of them copies: the
	// volume is busy with few, and others need it too.
	copiesAtOnce = 4
	filesAtOnce  = 8
	// hashesAtOnce is how many files are read again at once.
	hashesAtOnce = 8
)

// Contents opens what the tenant's sources have of sealed items.
type Contents interface {
	Read(ctx context.Context, seq *sequencer.Sequencer, manifest int64, indexes ledger.Set) (*contentrpc.Reading, error)
}

// Service implements StorageService.
type Service struct {
	backupv1.UnsafeStorageServiceServer
	store      *storage.Store
	sequencers *sequencer.Set
	registry   *registry.Registry
	contents   Contents
	logger     *slog.Logger
	copying    chan struct{}
	hashing    chan struct{}

	mu      sync.Mutex // guards what follows
	puts    map[identity.Role]int
	allPuts int
}

// New returns the service.
func New(store *storage.Store, sequencers *sequencer.Set, r *registry.Registry, contents Contents, logger *slog.Logger) *Service {
	return &Service{
		store: store, sequencers: sequencers, registry: r, contents: contents, logger: logger,
		copying: make(chan struct{}, copiesAtOnce), hashing: make(chan struct{}, hashesAtOnce),
		puts: map[identity.Role]int{},
	}
}

// about is what every request names.
type about interface {
	GetTenant() string
	GetDestination() string
}

// place returns the place that a caller asks about, if he may. People were held against their tenant before; agents only have
// the destination that they serve. The error is a status.
func (s *Service) place(ctx context.Context, req about) (*storage.Place, registry.Destination, error) {
	role, err := identity.RoleFromContext(ctx)
	if err != nil {
		return nil, registry.Destination{}, wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "the call wants a certificate with a role: %v", err)
	}
	if role.Kind != identity.KindOperator && role.Tenant != req.GetTenant() {
		return nil, registry.Destination{}, wire.Error(codes.PermissionDenied, wire.ReasonOtherTenant, "%s may only ask about the tenant %s", role, role.Tenant)
	}
	d, err := s.registry.Destination(req.GetTenant(), req.GetDestination())
	if role.Kind == identity.KindAgent {
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return nil, d, s.refused(ctx, err)
		}
		if _, _, err := authz.Destination(ctx, s.sequencers, string(d.Origin)); err != nil {
			return nil, d, wire.Error(codes.PermissionDenied, wire.ReasonNotAssigned, "the destination %.200q is not served by agent %s", req.GetDestination(), role.Name)
		}
	}
	if errors.Is(err, registry.ErrNotFound) {
		return nil, d, wire.Error(codes.NotFound, wire.ReasonNoDestination, "the tenant %s has no destination %.200q", req.GetTenant(), req.GetDestination())
	}
	if err != nil {
		return nil, d, s.refused(ctx, err)
	}
	if d.Kind != backup.StorageWolkvox {
		return nil, d, wire.Error(codes.FailedPrecondition, wire.ReasonNotStorage, "the destination %s is not in wolkvox Storage but of the kind %s", d.Name, d.Kind)
	}
	place, err := s.store.Place(d.Tenant, d.Name)
	return place, d, s.refused(ctx, err)
}

// refused returns what the store answered as a status; what is not the caller's matter is logged.
func (s *Service) refused(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrQuota):
		return wire.Error(codes.ResourceExhausted, wire.ReasonStorageQuota, "%v", err)
	case errors.Is(err, storage.ErrFull):
		s.logger.LogAttrs(ctx, slog.LevelError, "wolkvox Storage has no room", slog.Any("error", err))
		return wire.Error(codes.ResourceExhausted, wire.ReasonStorageFull, "the server has no room for it at the moment")
	case errors.Is(err, storage.ErrName):
		return wire.Error(codes.InvalidArgument, wire.ReasonBadPath, "%v", err)
	case errors.Is(err, storage.ErrObstructed):
		return wire.Error(codes.FailedPrecondition, wire.ReasonNameObstructed, "%v", err)
	case errors.Is(err, storage.ErrReplaced):
		return wire.Error(codes.FailedPrecondition, wire.ReasonNotReplaced, "%v", err)
	case errors.Is(err, storage.ErrReadBack):
		s.logger.LogAttrs(ctx, slog.LevelError, "wolkvox Storage reads back differently", slog.Any("error", err))
		return wire.Error(codes.DataLoss, wire.ReasonReadBack, "%v", err)
	case errors.Is(err, backup.ErrDigest):
		return wire.Error(codes.InvalidArgument, wire.ReasonWrongDigest, "%v", err)
	case errors.Is(err, fs.ErrExist):
		return wire.Error(codes.AlreadyExists, wire.ReasonFileExists, "something is under the name already")
	case errors.Is(err, fs.ErrNotExist):
		return wire.Error(codes.NotFound, wire.ReasonNoFile, "nothing is under the name")
	}
	answer := rpcerror.Status(err)
	if status.Code(answer) == codes.Internal && ctx.Err() == nil {
		s.logger.LogAttrs(ctx, slog.LevelError, "call of wolkvox Storage failed", slog.Any("error", err))
	}
	return answer
}

// enter waits for a turn.
func enter(ctx context.Context, turns chan struct{}) (leave func(), err error) {
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, status.FromContextError(context.Cause(ctx)).Err()
	}
}

// digest returns d as it travels.
func digest(d backup.Digest) *backupv1.StorageDigest {
	return &backupv1.StorageDigest{Sha256: d.SHA256[:], SizeBytes: d.SizeBytes}
}

// parseDigest is the inverse of digest. The error is a status.
func parseDigest(d *backupv1.StorageDigest) (backup.Digest, error) {
	if d == nil || len(d.GetSha256()) != 32 || d.GetSizeBytes() < 0 || d.GetSizeBytes() > ledger.MaxDecimal {
		return backup.Digest{}, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the digest of a file needs a SHA-256 of 32 bytes and a size")
	}
	return backup.Digest{SHA256: [32]byte(d.GetSha256()), SizeBytes: d.GetSizeBytes()}, nil
}
