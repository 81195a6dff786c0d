package control

import (
	"bytes"
	"context"
	"errors"
	"io/fs"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup/agent/internal/evidence"
	"github.com/wolkvox/backup/agent/internal/night"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// ExportEvidence streams the evidence of a month as plain files.
func (s *Service) ExportEvidence(request *backupv1.ExportEvidenceRequest, stream grpc.ServerStreamingServer[backupv1.ExportEvidenceResponse]) error {
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return err
	}
	month, err := evidence.ParseMonth(request.GetMonth())
	if err != nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "%v", err)
	}
	files := sentFiles{send: func(file *backupv1.ExportedFile) error {
		return stream.Send(&backupv1.ExportEvidenceResponse{File: file})
	}}
	err = evidence.WriteKit(stream.Context(), d.Log, files, month)
	switch {
	case errors.Is(err, evidence.ErrNothingAgreed):
		return wire.Error(codes.FailedPrecondition, wire.ReasonNotAgreed,
			"both sides have signed nothing of %s yet: export again after the next run", d.Name)
	case errors.Is(err, evidence.ErrNoNight):
		return wire.Error(codes.NotFound, wire.ReasonNoNight,
			"no night of %s is in the agreed ledger of %s; `wolkvox-agent ledger export` has all nights", month, d.Name)
	}
	return err
}

// sentFiles are files that go to whoever asked; nothing is there before.
type sentFiles struct {
	send func(*backupv1.ExportedFile) error
}

// Read implements evidence.Files.
func (sentFiles) Read(_ context.Context, name string) ([]byte, error) {
	return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
}

// Write implements evidence.Files.
func (f sentFiles) Write(_ context.Context, name string, data []byte) error {
	w, err := wire.ExportTo(f.send)(name)
	if err != nil {
		return err
	}
	_, err = bytes.NewReader(data).WriteTo(w)
	return errors.Join(err, w.Close())
}

// evidenceStatus is how far the evidence at a destination reaches; nil where nothing is known of any.
func evidenceStatus(e night.Evidence) *backupv1.EvidenceStatus {
	if e == (night.Evidence{}) {
		return nil
	}
	status := &backupv1.EvidenceStatus{Size: e.Size}
	if !e.Through.IsZero() {
		status.ThroughNight = e.Through.String()
	}
	if e.Problem != nil {
		status.Problem = text(e.Problem)
	}
	return status
}
