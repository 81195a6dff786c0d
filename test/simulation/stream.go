package simulation

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// stream is one call with many messages.
type stream struct {
	link    *link
	watch   bool
	ctx     context.Context // of the caller
	process context.Context // of the server
	server  context.Context // of the handler
	end     context.CancelCauseFunc
	cut     <-chan struct{}
	up      chan proto.Message
	down    chan proto.Message
	over    chan struct{} // closed when the handler has returned
	err     error         // what it returned
	mishap  mishap
	broken  bool

	mu     sync.Mutex
	left   int  // messages until the stream breaks; 0 where it does not
	closed bool // the caller sends no more
}

// Header implements grpc.ClientStream.
func (s *stream) Header() (metadata.MD, error) { return nil, nil }

// Trailer implements grpc.ClientStream.
func (s *stream) Trailer() metadata.MD { return nil }

// Context implements grpc.ClientStream.
func (s *stream) Context() context.Context { return s.ctx }

// CloseSend implements grpc.ClientStream.
func (s *stream) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.up)
	}
	return nil
}

// SendMsg implements grpc.ClientStream.
func (s *stream) SendMsg(m any) error {
	select {
	case s.up <- proto.Clone(m.(proto.Message)):
		return nil
	case <-s.over:
	case <-s.cut:
	case <-s.server.Done():
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
	return io.EOF
}

// RecvMsg implements grpc.ClientStream.
func (s *stream) RecvMsg(m any) error {
	if s.broken {
		if err := rest(s.ctx, time.Second); err != nil {
			return err
		}
		return errBroken
	}
	select {
	case message := <-s.down:
		return s.take(m, message)
	default:
	}
	select {
	case message := <-s.down:
		return s.take(m, message)
	case <-s.over:
		select {
		case message := <-s.down:
			return s.take(m, message)
		default:
		}
		if err := s.held(); err != nil {
			return err
		}
		if s.process.Err() != nil {
			return errBroken
		}
		if s.err == nil {
			return io.EOF
		}
		return asStatus(s.err)
	case <-s.cut:
		return errBroken
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

// held waits while what the server says on a watch is held back.
func (s *stream) held() error {
	wait := s.link.deafFor()
	if !s.watch || wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.cut:
	case <-s.process.Done():
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
	return errBroken
}

func (s *stream) take(into any, message proto.Message) error {
	if err := s.held(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left > 0 {
		if s.left--; s.left == 0 {
			s.end(context.Canceled)
			return errBroken
		}
	}
	if s.mishap.kind == corrupted {
		corrupt(message)
	}
	proto.Merge(into.(proto.Message), message)
	return nil
}

// serverStream is the server's end of a stream.
type serverStream struct{ *stream }

// SetHeader implements grpc.ServerStream.
func (serverStream) SetHeader(metadata.MD) error { return nil }

// SendHeader implements grpc.ServerStream.
func (serverStream) SendHeader(metadata.MD) error { return nil }

// SetTrailer implements grpc.ServerStream.
func (serverStream) SetTrailer(metadata.MD) {}

// Context implements grpc.ServerStream.
func (s serverStream) Context() context.Context { return s.server }

// SendMsg implements grpc.ServerStream.
func (s serverStream) SendMsg(m any) error {
	if err := rest(s.server, latency/10); err != nil {
		return err
	}
	select {
	case s.down <- proto.Clone(m.(proto.Message)):
		return nil
	case <-s.server.Done():
		return status.FromContextError(s.server.Err()).Err()
	}
}

// RecvMsg implements grpc.ServerStream.
func (s serverStream) RecvMsg(m any) error {
	select {
	case message, ok := <-s.up:
		if !ok {
			return io.EOF
		}
		proto.Merge(m.(proto.Message), message)
		return nil
	case <-s.server.Done():
		return status.FromContextError(s.server.Err()).Err()
	}
}
