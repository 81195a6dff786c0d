package storagerpc

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/storage"
)

// HashFiles reads files again.
func (s *Service) HashFiles(req *backupv1.HashFilesRequest, stream grpc.ServerStreamingServer[backupv1.HashFilesResponse]) error {
	ctx := stream.Context()
	place, _, err := s.place(ctx, req)
	if err != nil {
		return err
	}
	names := req.GetNames()
	if err := checkNames(names); err != nil {
		return err
	}
	for len(names) > 0 {
		part := names[:min(len(names), 64)]
		names = names[len(part):]
		answer := &backupv1.HashFilesResponse{Files: make([]*backupv1.FoundFile, len(part))}
		group, inner := errgroup.WithContext(ctx)
		for i, name := range part {
			group.Go(func() (err error) {
				answer.Files[i], err = s.hash(inner, place, name)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return s.refused(ctx, err)
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
	return nil
}

// hash reads one file again. The error ends the call.
func (s *Service) hash(ctx context.Context, place *storage.Place, name string) (*backupv1.FoundFile, error) {
	leave, err := enter(ctx, s.hashing)
	if err != nil {
		return nil, err
	}
	defer leave()
	found, err := place.Hash(ctx, name)
	if err != nil && ctx.Err() != nil || errors.Is(err, storage.ErrName) {
		return nil, err
	}
	if err == nil {
		return &backupv1.FoundFile{Presence: backupv1.FilePresence_FILE_PRESENCE_PRESENT, Digest: digest(found)}, nil
	}
	return &backupv1.FoundFile{Presence: s.presence(ctx, err)}, nil
}

// presence is what an error of looking at one file says.
func (s *Service) presence(ctx context.Context, err error) backupv1.FilePresence {
	switch {
	case err == nil:
		return backupv1.FilePresence_FILE_PRESENCE_PRESENT
	case errors.Is(err, storage.ErrObstructed):
		return backupv1.FilePresence_FILE_PRESENCE_OBSTRUCTED
	case errors.Is(err, fs.ErrNotExist):
		return backupv1.FilePresence_FILE_PRESENCE_ABSENT
	}
	s.logger.LogAttrs(ctx, slog.LevelError, "stored file cannot be read", slog.Any("error", err))
	return backupv1.FilePresence_FILE_PRESENCE_UNREADABLE
}

func checkNames(names []string) error {
	if len(names) > wire.MaxStorageNames {
		return wire.Error(codes.InvalidArgument, wire.ReasonTooLarge, "%d names are asked for, more than %d", len(names), wire.MaxStorageNames)
	}
	return nil
}

// visible refuses the names of an agent's own files, of which nothing is shown but to the agent by methods of their own.
func visible(name string) error {
	if err := backup.CheckPath(name); err != nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadPath, "%v", err)
	}
	return nil
}

// StatFiles looks at files without reading them.
func (s *Service) StatFiles(ctx context.Context, req *backupv1.StatFilesRequest) (*backupv1.StatFilesResponse, error) {
	place, _, err := s.place(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := checkNames(req.GetNames()); err != nil {
		return nil, err
	}
	answer := &backupv1.StatFilesResponse{}
	for _, name := range req.GetNames() {
		if err := visible(name); err != nil {
			return nil, err
		}
		file, err := place.Stat(name)
		stat := &backupv1.StatFile{Presence: s.presence(ctx, err)}
		if err == nil {
			stat.SizeBytes, stat.StoredTime = file.SizeBytes, wire.Time(file.StoredAt)
		}
		answer.Files = append(answer.Files, stat)
	}
	return answer, nil
}

// ListFiles streams what is visible.
func (s *Service) ListFiles(req *backupv1.ListFilesRequest, stream grpc.ServerStreamingServer[backupv1.ListFilesResponse]) error {
	ctx := stream.Context()
	place, _, err := s.place(ctx, req)
	if err != nil {
		return err
	}
	for _, name := range []string{req.GetFolder(), req.GetAfterName()} {
		if name == "" {
			continue
		}
		if err := visible(name); err != nil {
			return err
		}
	}
	answer := &backupv1.ListFilesResponse{}
	for file, err := range place.List(ctx, req.GetFolder(), req.GetAfterName()) {
		if err != nil {
			return s.refused(ctx, err)
		}
		answer.Files = append(answer.Files, &backupv1.StoredFile{Name: file.Name, SizeBytes: file.SizeBytes, StoredTime: wire.Time(file.StoredAt)})
		if len(answer.Files) < wire.MaxStorageNames {
			continue
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
		answer = &backupv1.ListFilesResponse{}
	}
	answer.Complete = true
	return stream.Send(answer)
}

// ReadUsage says how much of the tenant's quota is used.
func (s *Service) ReadUsage(ctx context.Context, req *backupv1.ReadUsageRequest) (*backupv1.ReadUsageResponse, error) {
	_, d, err := s.place(ctx, req)
	if err != nil {
		return nil, err
	}
	usage, err := s.store.Usage(d.Tenant)
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	return &backupv1.ReadUsageResponse{UsedBytes: usage.UsedBytes, QuotaBytes: usage.QuotaBytes, FreeBytes: usage.FreeBytes}, nil
}
