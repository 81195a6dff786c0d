package adminrpc

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/door"
	"github.com/wolkvox/backup/server/internal/registry"
)

// maxDoorKeyLife is how long a key is let in at most, and where nothing was said.
const maxDoorKeyLife = 365 * 24 * time.Hour

// Door is where people read recordings. It may be called concurrently.
type Door interface {
	// CloseKey ends the connections that were opened with a key of a tenant.
	CloseKey(tenant, fingerprint string)
	// CloseTenant ends all connections of a tenant.
	CloseTenant(tenant string)
	// Host returns by what clients know the door.
	Host() door.HostKey
}

// AddDoorKey lets whoever holds an SSH key read a tenant's recordings at the door.
func (s *Service) AddDoorKey(ctx context.Context, req *backupv1.AddDoorKeyRequest) (*backupv1.AddDoorKeyResponse, error) {
	parsed, err := door.ParseKey(req.GetPublicKey())
	if err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadDoorKey, "%v", err)
	}
	if req.GetFingerprint() != parsed.Fingerprint {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadDoorKey, "the fingerprint of the key is %s, not %.60q", parsed.Fingerprint, req.GetFingerprint())
	}
	comment := req.GetComment()
	if comment == "" {
		comment = parsed.Comment
	}
	if err := door.CheckComment(comment); err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "%v", err)
	}
	life := maxDoorKeyLife
	if req.GetLifetime() != nil {
		life = req.GetLifetime().AsDuration()
	}
	if life <= 0 || life > maxDoorKeyLife {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the key's lifetime of %s is not more than nothing and at most %s", life, maxDoorKeyLife)
	}
	by, err := identity.RoleFromContext(ctx)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	at := time.Now().UTC()
	added := registry.DoorKey{
		Tenant: req.GetTenant(), Fingerprint: parsed.Fingerprint, PublicKey: parsed.Text, Comment: strings.TrimSpace(comment),
		AddedBy: by.String(), AddedAt: at, End: at.Add(life),
	}
	switch err := s.Registry.AddDoorKey(added); {
	case errors.Is(err, registry.ErrTooManyKeys):
		return nil, wire.Error(codes.ResourceExhausted, wire.ReasonTooManyDoorKeys,
			"tenant %s has %d keys, which is the most: remove one first; see `wolkvox-server door-key list`", added.Tenant, registry.MaxDoorKeys)
	case err != nil:
		return nil, s.refused(ctx, err)
	}
	s.done(ctx, "add door key", added.Tenant+"/"+added.Fingerprint)
	return &backupv1.AddDoorKeyResponse{Key: doorKey(added)}, nil
}

// ListDoorKeys lists a tenant's keys, and by what the door is known.
func (s *Service) ListDoorKeys(ctx context.Context, req *backupv1.ListDoorKeysRequest) (*backupv1.ListDoorKeysResponse, error) {
	all, err := s.Registry.DoorKeys(req.GetTenant())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	res := &backupv1.ListDoorKeysResponse{}
	for _, k := range all {
		res.Keys = append(res.Keys, doorKey(k))
	}
	if s.Door != nil {
		res.HostFingerprint, res.HostKey = s.Door.Host().Fingerprint(), s.Door.Host().PublicKey()
	}
	return res, nil
}

// RemoveDoorKey lets a key in no more and ends its connections.
func (s *Service) RemoveDoorKey(ctx context.Context, req *backupv1.RemoveDoorKeyRequest) (*backupv1.RemoveDoorKeyResponse, error) {
	if _, err := s.Registry.Tenant(req.GetTenant()); err != nil {
		return nil, s.refused(ctx, err)
	}
	removed, err := s.Registry.RemoveDoorKey(req.GetTenant(), req.GetFingerprint())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	if s.Door != nil {
		s.Door.CloseKey(removed.Tenant, removed.Fingerprint)
	}
	s.done(ctx, "remove door key", removed.Tenant+"/"+removed.Fingerprint)
	return &backupv1.RemoveDoorKeyResponse{Key: doorKey(removed)}, nil
}

func doorKey(k registry.DoorKey) *backupv1.DoorKey {
	return &backupv1.DoorKey{
		Tenant: k.Tenant, Fingerprint: k.Fingerprint, PublicKey: k.PublicKey, Comment: k.Comment, AddedBy: k.AddedBy,
		AddTime: wire.Time(k.AddedAt), ExpireTime: wire.Time(k.End),
	}
}
