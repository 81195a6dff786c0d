// Package rpc makes the gRPC server that all services are on: who may call, how large and how many calls may be, how
// connections are kept alive, health and reflection. It implements no service.
package rpc

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/server/internal/adminlog"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/limits"
	"github.com/wolkvox/backup/server/internal/metrics"
)

const (
	// maxRequestBytes has room for the largest request of the contract: receipts of 1 MiB, and what frames them.
	maxRequestBytes = 2 << 20
	// maxCallsPerConnection has room for an agent's watches and streams.
	maxCallsPerConnection = 256
	// pingInterval is how often a silent caller is asked whether it is still there, pingTimeout how long it may take.
	pingInterval = time.Minute
	pingTimeout  = 20 * time.Second
	// pingsNotBefore is how often callers may ask in turn; agents do every 30 seconds.
	pingsNotBefore = 15 * time.Second
	// maxHeaderBytes has room for what gRPC sends of itself and a sentence that says why something is done.
	maxHeaderBytes = 16 << 10
	// idleTimeout ends connections over which nothing was called for so long; agents at work always have a watch open.
	idleTimeout = 15 * time.Minute
	// readBufferBytes is kept small for the sake of thousands of connections that are silent most of the time.
	readBufferBytes = 8 << 10
	// stopTimeout is how long calls may take to end once the server is being stopped.
	stopTimeout = 5 * time.Second
)

// Services are what the server serves.
type Services struct {
	Admin      backupv1.AdminServiceServer
	Content    backupv1.ContentServiceServer
	Enrollment backupv1.EnrollmentServiceServer
	Heartbeat  backupv1.HeartbeatServiceServer
	Ledger     interface {
		backupv1.LedgerServiceServer
		Stop() // ends the streams that have no end of their own
	}
	Storage backupv1.StorageServiceServer
}

// Server is a gRPC server with all services.
type Server struct {
	grpc   *grpc.Server
	health *health.Server
	bounds *limits.Limits
	stop   func()
	wait   func() // for the handlers of streams
}

// ownLimits are the streaming methods that bound by themselves how many an agent has open.
func ownLimits() []string {
	return []string{backupv1.ContentService_FetchContents_FullMethodName, backupv1.LedgerService_WatchLedger_FullMethodName, backupv1.StorageService_PutFile_FullMethodName}
}

// NewServer returns the server. Nothing is served before [Server.Serve]. calls takes down how every call ended, also those
// that bounds or guard refuse. The credentials are those of identity.Authority.
func NewServer(creds credentials.TransportCredentials, bounds *limits.Limits, guard *authz.Guard, calls *metrics.Calls, acts *adminlog.Recorder, services Services) *Server {
	server := grpc.NewServer(
		grpc.Creds(bounds.Credentials(creds)),
		grpc.ChainUnaryInterceptor(calls.Unary, bounds.Unary, guard.Unary, acts.Unary),
		grpc.ChainStreamInterceptor(calls.Stream, bounds.Stream(ownLimits()...), guard.Stream, acts.Stream),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.MaxConcurrentStreams(maxCallsPerConnection),
		grpc.ConnectionTimeout(bounds.HandshakeTimeout()),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout, Time: pingInterval, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingsNotBefore, PermitWithoutStream: true}),
		grpc.ReadBufferSize(readBufferBytes),
		contentrpc.Codec(),
		grpc.WaitForHandlers(true), // whoever closes the stores afterwards has to know that nobody uses them
	)
	backupv1.RegisterAdminServiceServer(server, services.Admin)
	backupv1.RegisterContentServiceServer(server, services.Content)
	backupv1.RegisterEnrollmentServiceServer(server, services.Enrollment)
	backupv1.RegisterHeartbeatServiceServer(server, services.Heartbeat)
	backupv1.RegisterLedgerServiceServer(server, services.Ledger)
	backupv1.RegisterStorageServiceServer(server, services.Storage)
	status := health.NewServer()
	healthv1.RegisterHealthServer(server, status)
	reflection.Register(server)
	return &Server{server, status, bounds, services.Ledger.Stop, guard.Wait}
}

// Serve answers at the listener until ctx ends. It then takes no more calls, lets those that run end for a few seconds,
// cuts off the rest, and returns ctx's cause.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(stopped)
		s.health.Shutdown()
		s.stop()
		cut := time.AfterFunc(stopTimeout, s.grpc.Stop)
		defer cut.Stop()
		s.grpc.GracefulStop()
	})
	err := s.grpc.Serve(s.bounds.Listener(listener))
	if cancel() {
		return err
	}
	<-stopped
	s.wait()
	return context.Cause(ctx)
}
