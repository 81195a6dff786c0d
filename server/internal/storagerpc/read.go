package storagerpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/source/portable"
	"github.com/wolkvox/backup/server/internal/storage"
)

// pieceBytes is how much of a file one message has.
const pieceBytes = 256 << 10

// ReadFile streams a file or a part of it.
func (s *Service) ReadFile(req *backupv1.ReadFileRequest, stream grpc.ServerStreamingServer[backupv1.ReadFileResponse]) error {
	ctx := stream.Context()
	place, d, err := s.place(ctx, req)
	if err != nil {
		return err
	}
	if err := visible(req.GetName()); err != nil {
		return err
	}
	file, sizeBytes, err := place.Open(req.GetName())
	if err != nil {
		return s.refused(ctx, err)
	}
	defer file.Close()
	offset, length := req.GetOffsetBytes(), req.GetLengthBytes()
	if offset < 0 || length < 0 || offset > sizeBytes {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the file has %d bytes; %d bytes from byte %d on are asked for", sizeBytes, length, offset)
	}
	end := sizeBytes
	if length > 0 {
		end = offset + min(length, sizeBytes-offset)
	}
	answer := &backupv1.ReadFileResponse{}
	if req.GetWantDigest() {
		found, sealed, err := s.digestOf(ctx, place, d.Origin, req.GetName())
		if err != nil {
			return s.refused(ctx, err)
		}
		answer.Digest, answer.Sealed = digest(found), sealed
	}
	buffer := make([]byte, min(end-offset, pieceBytes))
	for offset < end {
		piece := buffer[:min(int64(len(buffer)), end-offset)]
		if n, err := file.ReadAt(piece, offset); n < len(piece) {
			return s.refused(ctx, errors.Join(err, io.ErrUnexpectedEOF))
		}
		offset += int64(len(piece))
		answer.Data, answer.Complete = piece, offset == end
		if err := stream.Send(answer); err != nil {
			return err
		}
		answer = &backupv1.ReadFileResponse{}
	}
	if len(buffer) > 0 {
		return nil
	}
	answer.Complete = true
	return stream.Send(answer)
}

// digestOf returns what a file has to be: what was sealed under its name, and otherwise what it is.
func (s *Service) digestOf(ctx context.Context, place *storage.Place, origin ledger.Origin, name string) (d backup.Digest, sealed bool, err error) {
	manifest, taken, err := s.registry.Catalog().Taken(origin, portable.Fold(name))
	if err != nil {
		return backup.Digest{}, false, err
	}
	if seq, ok := s.sequencers.Of(origin); taken && ok {
		for line, err := range seq.Ledger().Lines(manifest, 0) {
			if err != nil {
				return backup.Digest{}, false, err
			}
			if !line.Forgotten && line.Item.Path == name {
				return line.Item.Digest, true, nil
			}
			if ctx.Err() != nil {
				return backup.Digest{}, false, context.Cause(ctx)
			}
		}
	}
	leave, err := enter(ctx, s.hashing)
	if err != nil {
		return backup.Digest{}, false, err
	}
	defer leave()
	d, err = place.Hash(ctx, name)
	return d, false, err
}
