package agent

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// link is the connection to the server. It is made anew with each certificate: a connection goes on with the certificate
// that it was opened with. It is safe for concurrent use.
type link struct {
	mu   sync.Mutex
	conn *grpc.ClientConn
}

// replace ends the connection, and the calls on it, before calls go over the next one. The server refuses the certificate
// before from then on, and would take a call with it for another machine's.
func (l *link) replace(next *grpc.ClientConn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.conn.Close()
	l.conn = next
	return err
}

func (l *link) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn.Close()
}

func (l *link) current() *grpc.ClientConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// Invoke makes a unary call.
func (l *link) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	return cut(ctx, l.current().Invoke(ctx, method, args, reply, options...))
}

// NewStream begins a streaming call.
func (l *link) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := l.current().NewStream(ctx, desc, method, options...)
	if err != nil {
		return nil, cut(ctx, err)
	}
	return &linkStream{stream}, nil
}

// linkStream is a stream that ends with the connection like one that the network cut.
type linkStream struct{ grpc.ClientStream }

// RecvMsg receives a message.
func (s *linkStream) RecvMsg(m any) error { return cut(s.Context(), s.ClientStream.RecvMsg(m)) }

// SendMsg sends a message.
func (s *linkStream) SendMsg(m any) error { return cut(s.Context(), s.ClientStream.SendMsg(m)) }

// cut gives a call that ended with its connection the status of one that the network cut, which is tried again.
func cut(ctx context.Context, err error) error {
	if status.Code(err) == codes.Canceled && ctx.Err() == nil {
		return status.Error(codes.Unavailable, "the connection was closed in favour of one with the next certificate")
	}
	return err
}
