package agentsim

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup/agent/internal/uplink"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/simgate"
)

// line is the way from a process to the server: it ends with the process, and heartbeats carry the time of the machine's
// own clock.
type line struct {
	conn   grpc.ClientConnInterface
	gate   *simgate.Gate
	offset func() time.Duration
}

func newLine(conn grpc.ClientConnInterface, p *process, offset func() time.Duration) *uplink.Client {
	return uplink.NewClient(&line{conn, &p.gate, offset}, &uplink.ServerClock{})
}

var errDead = status.Error(codes.Unavailable, "this process was killed")

// Invoke implements grpc.ClientConnInterface. A process that is killed at a call has still sent it, or not.
func (l *line) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	apply, err := l.gate.Step("call "+method, false)
	if !apply {
		return errDead
	}
	if h, ok := args.(*backupv1.HeartbeatRequest); ok {
		h = proto.CloneOf(h)
		h.AgentTime = timestamppb.New(h.GetAgentTime().AsTime().Add(l.offset()))
		args = h
	}
	if err != nil {
		ctx = context.WithoutCancel(ctx) // it is on its way
		_ = l.conn.Invoke(ctx, method, args, reply, opts...)
		return errDead
	}
	return l.conn.Invoke(ctx, method, args, reply, opts...)
}

// NewStream implements grpc.ClientConnInterface.
func (l *line) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if _, err := l.gate.Step("call "+method, false); err != nil {
		return nil, errDead
	}
	return l.conn.NewStream(ctx, desc, method, opts...)
}
