package authz_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// openStream takes and gives whatever is asked for.
type openStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s openStream) Context() context.Context { return s.ctx }
func (s openStream) SendMsg(any) error        { return nil }
func (s openStream) RecvMsg(any) error        { return nil }

// A handler that does not look whether its caller was revoked can neither take nor give anything any more, and is waited
// for when the server stops.
func TestHandlersOfTheRevoked(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, "UTC", backup.StorageRSYNC, time.Now())
	g := &authz.Guard{}
	stream := openStream{ctx: callerContext(t, issue(t, s, identity.AgentRole(servertest.Tenant, servertest.Agent)))}
	info := &grpc.StreamServerInfo{FullMethod: backupv1.LedgerService_OfferLedger_FullMethodName, IsClientStream: true, IsServerStream: true}
	release, ended := make(chan struct{}), make(chan struct{})
	err := g.Stream(nil, stream, info, func(_ any, guarded grpc.ServerStream) error {
		defer close(ended)
		if err := guarded.RecvMsg(nil); err != nil {
			t.Errorf("before it was revoked, RecvMsg = %v", err)
		}
		if err := guarded.SendMsg(nil); err != nil {
			t.Errorf("before it was revoked, SendMsg = %v", err)
		}
		g.RevokeAgent(servertest.Tenant, servertest.Agent)
		if err := guarded.RecvMsg(nil); wire.Reason(err) != wire.ReasonRevoked {
			t.Errorf("RecvMsg = %v, want REVOKED", err)
		}
		if err := guarded.SendMsg(nil); wire.Reason(err) != wire.ReasonRevoked {
			t.Errorf("SendMsg = %v, want REVOKED", err)
		}
		<-release
		return nil
	})
	if wire.Reason(err) != wire.ReasonRevoked {
		t.Errorf("Stream = %v, want REVOKED", err)
	}
	waited := make(chan struct{})
	go func() { g.Wait(); close(waited) }()
	select {
	case <-waited:
		t.Error("Wait returned before the handler did")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	<-waited
	<-ended
}
