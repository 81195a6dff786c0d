// Package wolkvoxdest keeps recordings in wolkvox Storage, over the agent's own connection to wolkvox' server. What is sealed
// there is copied there, without its bytes crossing the line; whatever else is stored is sent. It relies on the service to
// compare what it stores only after it was seen to refuse a wrong digest, and otherwise reads back over the line. It judges no
// errors: it hands out the reasons that the server gives.
package wolkvoxdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

const (
	// callTimeout bounds what the server answers at once.
	callTimeout = 30 * time.Second
	// openTimeout is how long opening waits for the line.
	openTimeout = 5 * time.Second
	// pieceBytes is how much of a file one message has, and the most that is kept of a file that is being sent.
	pieceBytes = 1 << 20
	// filesAtOnce bounds how many files are being sent, over all handles.
	filesAtOnce = 24
)

// Options of [New].
type Options struct {
	// Conn is the agent's connection to the server.
	Conn grpc.ClientConnInterface
	// Origin is that of the destination's log; it names tenant and destination too.
	Origin, Tenant, Destination string
	// Readback has everything read back over the line, whatever the service compares.
	Readback bool
}

// Storage opens one destination in wolkvox Storage. It is safe for concurrent use.
type Storage struct {
	options Options
	client  backupv1.StorageServiceClient
	sending chan struct{}

	mu      sync.Mutex // held while the service is probed; guards what follows
	probed  bool       // the service was asked to take a wrong digest
	refuses bool       // and refused it
}

// New returns the opener.
func New(o Options) *Storage {
	return &Storage{options: o, client: backupv1.NewStorageServiceClient(o.Conn), sending: make(chan struct{}, filesAtOnce)}
}

// Open implements dest.Opener. It asks the server whether the place can be used.
func (s *Storage) Open(ctx context.Context) (dest.Driver, error) {
	h := &handle{storage: s}
	waiting, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if _, err := h.usage(waiting, grpc.WaitForReady(true)); err != nil { // the line may be coming back just now
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &dest.UnreachableError{Place: s.options.Destination, Cause: err}
	}
	return h, nil
}

// handle is one opened destination. The connection is the agent's: there is nothing to close.
type handle struct{ storage *Storage }

// Close implements dest.Driver.
func (h *handle) Close() error { return nil }

func (h *handle) tenant() string { return h.storage.options.Tenant }
func (h *handle) place() string  { return h.storage.options.Destination }

// answered gives the server's answer its meaning: the reason stays, as a raw code.
func answered(what string, err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	reason := wire.Reason(err)
	cause := fmt.Errorf("%s: %s", what, s.Message())
	switch reason {
	case wire.ReasonNoFile:
		cause = fmt.Errorf("%s: %w", what, fs.ErrNotExist)
	case wire.ReasonFileExists:
		cause = fmt.Errorf("%s: %w", what, fs.ErrExist)
	case wire.ReasonNameObstructed, wire.ReasonNotReplaced:
		cause = fmt.Errorf("%s: %w: %s", what, dest.ErrConflict, s.Message())
	case wire.ReasonReadBack:
		cause = fmt.Errorf("%s: %w: %s", what, dest.ErrReadBack, s.Message())
	case wire.ReasonWrongDigest:
		cause = fmt.Errorf("%s: %w: %s", what, backup.ErrDigest, s.Message())
	case wire.ReasonBadPath:
		cause = fmt.Errorf("%s: %w: %s", what, dest.ErrName, s.Message())
	case wire.ReasonSourceUnreachable:
		cause = fmt.Errorf("%s: %w: %s", what, dest.ErrSource, s.Message())
	case "":
		return withoutReason(what, s)
	}
	return &dest.CodeError{Space: dest.SpaceWolkvox, Number: int64(s.Code()), Name: reason, Cause: cause}
}

// withoutReason gives what gRPC itself says its meaning.
func withoutReason(what string, s *status.Status) error {
	switch s.Code() {
	case codes.Canceled:
		return fmt.Errorf("%s: %w", what, context.Canceled)
	case codes.DeadlineExceeded:
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeServerSilent, Cause: fmt.Errorf("%s: wolkvox' server has not answered in time: %s", what, s.Message())}
	}
	return &dest.CodeError{Space: dest.SpaceWolkvox, Number: int64(s.Code()), Cause: fmt.Errorf("%s: %s", what, s.Message())}
}

// timed bounds a call that is answered at once.
func timed(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callTimeout)
}

// ended returns the caller's own reason where the call ended with it.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (h *handle) usage(ctx context.Context, how ...grpc.CallOption) (*backupv1.ReadUsageResponse, error) {
	limited, cancel := timed(ctx)
	defer cancel()
	usage, err := h.storage.client.ReadUsage(limited, &backupv1.ReadUsageRequest{Tenant: h.tenant(), Destination: h.place()}, how...)
	return usage, answered("ask wolkvox Storage what is used", err)
}

// Open implements dest.Driver.
func (h *handle) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stream, err := h.storage.client.ReadFile(ctx, &backupv1.ReadFileRequest{Tenant: h.tenant(), Destination: h.place(), Name: name})
	if err != nil {
		err = ended(ctx, answered("read a file", err)) // before this call's own end
		cancel(nil)
		return nil, err
	}
	r := &reader{ctx: ctx, cancel: cancel, stream: stream}
	if err := r.next(); err != nil {
		cancel(nil)
		return nil, err
	}
	return r, nil
}

// reader is a file as it comes. It is used by one goroutine.
type reader struct {
	ctx      context.Context // of the call
	cancel   context.CancelCauseFunc
	stream   grpc.ServerStreamingClient[backupv1.ReadFileResponse]
	data     []byte
	complete bool
}

func (r *reader) next() error {
	message, err := r.stream.Recv()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return ended(r.ctx, answered("read a file", err))
	}
	r.data, r.complete = message.GetData(), message.GetComplete()
	return nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.data) == 0 {
		if r.complete {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.cancel(nil)
	return nil
}
