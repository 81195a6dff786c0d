package adminrpc

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// RekeyLog gives a log a new server key. A key is made at the first call, and taken once a backup has it: a server that is
// restored from any later backup can go on signing.
func (s *Service) RekeyLog(ctx context.Context, req *backupv1.RekeyLogRequest) (*backupv1.RekeyLogResponse, error) {
	d, seq, err := s.sequencer(ctx, req.GetTenant(), req.GetDestination())
	if err != nil {
		return nil, err
	}
	if seq.Retired() {
		return nil, wire.Error(codes.FailedPrecondition, wire.ReasonRetired, "the destination %s of tenant %s has ended: its key stays as it is", d.Name, d.Tenant)
	}
	keys, err := s.Registry.LogKeys(d.Origin)
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	next := keys[len(keys)-1]
	if next.Verifier() == seq.ServerKey() {
		if next, err = s.Registry.AddLogKey(d.Origin); err != nil {
			return nil, s.refused(ctx, err)
		}
	}
	backup, made, err := s.Registry.LastBackup()
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	if !made || !backup.Holds(next.Verifier()) {
		return nil, wire.Error(codes.FailedPrecondition, wire.ReasonNoBackup,
			"the next key of %s/%s (%s) is in no backup yet: make a backup, then repeat", d.Tenant, d.Name, next.Verifier().Fingerprint()[:16])
	}
	if err := seq.Rekey(ctx, next, time.Now()); err != nil {
		return nil, s.failed(ctx, err)
	}
	s.done(ctx, "rekey", string(d.Origin))
	described, err := s.destination(d, seq)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return &backupv1.RekeyLogResponse{Destination: described}, nil
}
