package adminrpc

import (
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/backup"
	"github.com/wolkvox/backup/server/internal/registry"
)

// backupPieceBytes is the most that one CreateBackupResponse carries.
const backupPieceBytes = 64 << 10

// CreateBackup streams a backup of what cannot come back from the agents. It counts as made once all of it was handed out.
func (s *Service) CreateBackup(req *backupv1.CreateBackupRequest, stream grpc.ServerStreamingServer[backupv1.CreateBackupResponse]) error {
	ctx := stream.Context()
	at := time.Now()
	out := &pieces{send: func(data []byte) error { return stream.Send(&backupv1.CreateBackupResponse{Data: data}) }}
	writer, err := backup.NewWriter(out, req.GetRecipient(), at)
	if errors.Is(err, backup.ErrRecipient) {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "%v", err)
	}
	var keys []string
	if err == nil {
		keys, err = s.writeBackup(writer, out)
	}
	if err == nil {
		err = s.Registry.RecordBackup(registry.Backup{At: at.UTC(), Keys: keys})
	}
	if err != nil {
		return s.failed(ctx, err)
	}
	s.done(ctx, "create backup", req.GetRecipient())
	return nil
}

// writeBackup writes the registry as it is at one instant, and then the files.
func (s *Service) writeBackup(writer *backup.Writer, out *pieces) (keys []string, err error) {
	keys, err = s.Registry.Snapshot(writer.Record)
	if err == nil {
		err = s.StateFiles(writer.File)
	}
	if err == nil {
		err = writer.Close()
	}
	if err == nil {
		err = out.flush()
	}
	return keys, err
}

// pieces sends what is written to it in pieces of [backupPieceBytes].
type pieces struct {
	send    func(data []byte) error
	pending []byte
}

// Write keeps p until a piece is full.
func (w *pieces) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), backupPieceBytes-len(w.pending))
		w.pending = append(w.pending, rest[:n]...)
		rest = rest[n:]
		if len(w.pending) == backupPieceBytes {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

func (w *pieces) flush() error {
	data := w.pending
	w.pending = nil
	return w.send(data)
}
