package storagerpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/rpcerror"
)

// putsAtOnce is how many files are being taken at once, over all callers, and putsOfOne how many of one.
const (
	putsAtOnce = 128
	putsOfOne  = 32
)

// PutFile stores one file.
func (s *Service) PutFile(stream grpc.ClientStreamingServer[backupv1.PutFileRequest, backupv1.PutFileResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	ctx := stream.Context()
	place, _, err := s.place(ctx, first)
	if err != nil {
		return err
	}
	want, err := parseDigest(first.GetDigest())
	if err != nil {
		return err
	}
	var replaces *backup.Digest
	if first.GetReplaces() != nil {
		known, err := parseDigest(first.GetReplaces())
		if err != nil {
			return err
		}
		replaces = &known
	}
	role, err := identity.RoleFromContext(ctx)
	if err != nil || !s.admit(role) {
		return wire.RetryError(codes.ResourceExhausted, wire.ReasonTryLater, rpcerror.ComeBack, "the server takes as many files as it can at the moment")
	}
	defer s.leave(role)
	body := &body{ctx: ctx, stream: stream, data: first.GetData()}
	if err := body.check(first); err != nil {
		return err
	}
	if err := place.Put(ctx, first.GetName(), want, replaces, body); err != nil {
		return s.refused(ctx, err)
	}
	return stream.SendAndClose(&backupv1.PutFileResponse{})
}

func (s *Service) admit(role identity.Role) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.puts[role] >= putsOfOne || s.allPuts >= putsAtOnce {
		return false
	}
	s.puts[role]++
	s.allPuts++
	return true
}

func (s *Service) leave(role identity.Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allPuts--
	if s.puts[role]--; s.puts[role] == 0 {
		delete(s.puts, role)
	}
}

// body is the data of a file as it comes.
type body struct {
	ctx    context.Context // of the call
	stream grpc.ClientStreamingServer[backupv1.PutFileRequest, backupv1.PutFileResponse]
	data   []byte
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	for len(b.data) == 0 {
		next, err := b.stream.Recv()
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
		if next.GetTenant() != "" || next.GetDestination() != "" || next.GetName() != "" || next.GetDigest() != nil || next.GetReplaces() != nil {
			return 0, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "a file is one call, and only its first message says what it is")
		}
		if err := b.check(next); err != nil {
			return 0, err
		}
		b.data = next.GetData()
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

func (b *body) check(m *backupv1.PutFileRequest) error {
	if len(m.GetData()) > wire.MaxStorageDataBytes {
		return wire.Error(codes.InvalidArgument, wire.ReasonTooLarge, "a message has %d bytes of a file, more than %d", len(m.GetData()), wire.MaxStorageDataBytes)
	}
	return nil
}
