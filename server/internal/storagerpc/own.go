package storagerpc

import (
	"context"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// MoveFileAside gives a visible file a name of the agent's own.
func (s *Service) MoveFileAside(ctx context.Context, req *backupv1.MoveFileAsideRequest) (*backupv1.MoveFileAsideResponse, error) {
	place, _, err := s.place(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := visible(req.GetName()); err != nil {
		return nil, err
	}
	if err := place.MoveAside(req.GetName(), req.GetOwnName()); err != nil {
		return nil, s.refused(ctx, err)
	}
	return &backupv1.MoveFileAsideResponse{}, nil
}

// ReadOwnFile reads one of the agent's own files.
func (s *Service) ReadOwnFile(ctx context.Context, req *backupv1.ReadOwnFileRequest) (*backupv1.ReadOwnFileResponse, error) {
	place, _, err := s.place(ctx, req)
	if err != nil {
		return nil, err
	}
	data, err := place.ReadOwn(req.GetOwnName())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	return &backupv1.ReadOwnFileResponse{Data: data}, nil
}

// WriteOwnFile replaces one of the agent's own files.
func (s *Service) WriteOwnFile(ctx context.Context, req *backupv1.WriteOwnFileRequest) (*backupv1.WriteOwnFileResponse, error) {
	place, _, err := s.place(ctx, req)
	if err != nil {
		return nil, err
	}
	if len(req.GetData()) > wire.MaxStorageOwnBytes {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonTooLarge, "an own file has %d bytes, more than %d", len(req.GetData()), wire.MaxStorageOwnBytes)
	}
	if err := place.WriteOwn(req.GetOwnName(), req.GetData()); err != nil {
		return nil, s.refused(ctx, err)
	}
	return &backupv1.WriteOwnFileResponse{}, nil
}

// RemoveOwnFile deletes one of the agent's own files.
func (s *Service) RemoveOwnFile(ctx context.Context, req *backupv1.RemoveOwnFileRequest) (*backupv1.RemoveOwnFileResponse, error) {
	place, _, err := s.place(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := place.RemoveOwn(req.GetOwnName()); err != nil {
		return nil, s.refused(ctx, err)
	}
	return &backupv1.RemoveOwnFileResponse{}, nil
}
