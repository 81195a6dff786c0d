package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup/internal/wire"
)

// stallTimeout is how long a stream that has more to bring may bring nothing. It has room for a message of 1 MiB on a
// line of a few kB per second, and ends a stream of a server that hangs.
const stallTimeout = 5 * time.Minute

// stream is an answer of many messages. It belongs to one goroutine.
type stream[M any] struct {
	messages grpc.ServerStreamingClient[M]
	ctx      context.Context // of the call, which lives as long as the stream
	cancel   context.CancelCauseFunc
}

// openStream begins a call whose answer is a stream; it ends with ctx, or when it is closed.
func openStream[Q, M any](ctx context.Context, call func(context.Context, *Q, ...grpc.CallOption) (grpc.ServerStreamingClient[M], error), request *Q) (*stream[M], error) {
	ctx, cancel := context.WithCancelCause(ctx)
	messages, err := call(ctx, request)
	if err != nil {
		cancel(nil)
		return nil, sessionError(err)
	}
	return &stream[M]{messages, ctx, cancel}, nil
}

func (s *stream[M]) close() { s.cancel(nil) }

// next returns the next message, waiting for it at most so long; 0 is without end. That the stream is over is an error.
func (s *stream[M]) next(within time.Duration) (*M, error) {
	stalled := &stalledError{within}
	if within > 0 {
		timer := time.AfterFunc(within, func() { s.cancel(stalled) })
		defer timer.Stop()
	}
	message, err := s.messages.Recv()
	if err == nil {
		return message, nil
	}
	if context.Cause(s.ctx) == error(stalled) {
		return nil, stalled
	}
	return nil, sessionError(err)
}

// stalledError says that a stream brought nothing for so long. It is an [ErrUnreachable].
type stalledError struct{ within time.Duration }

func (e *stalledError) Error() string {
	return fmt.Sprintf("the server has sent nothing for %v in answer to a call", e.within)
}

func (e *stalledError) Is(target error) bool { return target == ErrUnreachable }

// errEnded says that the server ended a stream before its end was stated.
var errEnded = errors.New("the server ended its answer before it was complete")

// sessionError gives the server's answers to a call their meaning.
func sessionError(err error) error {
	switch wire.Reason(err) {
	case wire.ReasonSuperseded:
		return ErrSuperseded
	case wire.ReasonOfferWanted:
		return ErrOfferWanted
	case wire.ReasonNoSession:
		return ErrNoSession
	case wire.ReasonFork:
		return fmt.Errorf("%w (%w)", ErrFork, answerError{err})
	case wire.ReasonTailLost:
		return fmt.Errorf("%w (%w)", ErrTailLost, answerError{err})
	case wire.ReasonBadOffer:
		return fmt.Errorf("%w (%w)", ErrBadOffer, answerError{err})
	case "":
		if status.Code(err) == codes.Unavailable {
			return fmt.Errorf("%w: %w", ErrUnreachable, answerError{err})
		}
	}
	if errors.Is(err, io.EOF) {
		return errEnded
	}
	if _, ok := status.FromError(err); ok {
		return answerError{err}
	}
	return err
}

// answerError is a gRPC status that shows people only what was said.
type answerError struct{ error }

func (e answerError) Error() string { return status.Convert(e.error).Message() }

func (e answerError) Unwrap() error { return e.error }
