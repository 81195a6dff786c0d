package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/adminlog"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/limits"
	"github.com/wolkvox/backup/server/internal/metrics"
	"github.com/wolkvox/backup/server/internal/servertest"
)

const (
	agentA = "aaaaaaaaaaaaaaaa"
	agentB = "bbbbbbbbbbbbbbbb"
)

// endless is a LedgerService whose manifests have no end. It says when a stream began and ended.
type endless struct {
	backupv1.UnimplementedLedgerServiceServer
	began, ended chan struct{}
}

func (endless) Stop() {}

func (e endless) ReadManifest(_ *backupv1.ReadManifestRequest, stream grpc.ServerStreamingServer[backupv1.ReadManifestResponse]) error {
	e.began <- struct{}{}
	defer func() { e.ended <- struct{}{} }()
	lines := bytes.Repeat([]byte{'\n'}, 256<<10)
	for {
		if err := stream.Send(&backupv1.ReadManifestResponse{Lines: lines}); err != nil {
			return err
		}
	}
}

// deaf is a HeartbeatService that answers nothing of use.
type deaf struct {
	backupv1.UnimplementedHeartbeatServiceServer
}

func (deaf) Heartbeat(context.Context, *backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error) {
	return &backupv1.HeartbeatResponse{}, nil
}

// rig is a server as programs have it, with services that do nothing.
type rig struct {
	*servertest.Server
	t       *testing.T
	bounds  *limits.Limits
	ledger  endless
	address string
}

func newRig(t *testing.T, options limits.Options) *rig {
	t.Helper()
	r := &rig{Server: servertest.New(t, "America/Bogota", backup.StorageRSYNC, time.Now()), t: t, bounds: limits.New(options)}
	r.ledger = endless{began: make(chan struct{}, 1000), ended: make(chan struct{}, 1000)}
	cert, err := r.Authority.ServerCertificate(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	r.Must(err)
	server := NewServer(r.Authority.ServerCredentials(func() tls.Certificate { return cert }, time.Now), r.bounds, &authz.Guard{}, metrics.NewCalls(), &adminlog.Recorder{Log: r.Registry}, Services{
		Admin: backupv1.UnimplementedAdminServiceServer{}, Content: backupv1.UnimplementedContentServiceServer{},
		Enrollment: backupv1.UnimplementedEnrollmentServiceServer{}, Heartbeat: deaf{}, Ledger: r.ledger,
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	r.Must(err)
	r.address = listener.Addr().String()
	ctx, cancel := context.WithCancelCause(context.Background())
	stopped := errors.New("the test is over")
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		server.grpc.Stop()
		cancel(stopped)
		if err := <-done; err != nil && !errors.Is(err, stopped) {
			t.Error(err)
		}
	})
	return r
}

// as connects as an agent of the tenant.
func (r *rig) as(agent string) *grpc.ClientConn {
	return r.Dial(r.address, identity.AgentRole(servertest.Tenant, agent))
}

func (r *rig) beat(conn *grpc.ClientConn, options ...grpc.CallOption) error {
	_, err := backupv1.NewHeartbeatServiceClient(conn).Heartbeat(r.t.Context(), &backupv1.HeartbeatRequest{}, options...)
	return err
}

// read opens a stream that has no end and is not read.
func (r *rig) read(conn *grpc.ClientConn, options ...grpc.CallOption) grpc.ServerStreamingClient[backupv1.ReadManifestResponse] {
	r.t.Helper()
	stream, err := backupv1.NewLedgerServiceClient(conn).ReadManifest(r.t.Context(), &backupv1.ReadManifestRequest{}, options...)
	r.Must(err)
	return stream
}

// raw connects without any client's manners, over TLS, and without a certificate.
func (r *rig) raw() *tls.Conn {
	r.t.Helper()
	config := identity.ClientConfig(identity.Credential{Authority: r.Authority.Certificate()}, "127.0.0.1", time.Now)
	config.Certificates = nil
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", r.address, config)
	r.Must(err)
	r.t.Cleanup(func() { conn.Close() })
	return conn
}
