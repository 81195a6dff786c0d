package authz_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// Every method of a server that serves everything is in the table, and refuses whom it must: as unimplemented services
// are registered, whoever is let through meets UNIMPLEMENTED, or an answer.
func TestTable(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, "America/Bogota", backup.StorageRSYNC, time.Now())
	var services map[string]grpc.ServiceInfo
	address := s.Serve(func(g *grpc.Server) {
		backupv1.RegisterEnrollmentServiceServer(g, backupv1.UnimplementedEnrollmentServiceServer{})
		backupv1.RegisterLedgerServiceServer(g, backupv1.UnimplementedLedgerServiceServer{})
		backupv1.RegisterContentServiceServer(g, backupv1.UnimplementedContentServiceServer{})
		backupv1.RegisterHeartbeatServiceServer(g, backupv1.UnimplementedHeartbeatServiceServer{})
		backupv1.RegisterAdminServiceServer(g, backupv1.UnimplementedAdminServiceServer{})
		healthv1.RegisterHealthServer(g, health.NewServer())
		reflection.Register(g)
		services = g.GetServiceInfo()
	})
	callers := map[string]*grpc.ClientConn{
		"nobody":   s.Dial(address, identity.Role{}),
		"agent":    s.Dial(address, identity.AgentRole(servertest.Tenant, servertest.Agent)),
		"operator": s.Dial(address, identity.OperatorRole("alice")),
	}
	allowed := map[authz.Access][]string{
		authz.Anyone: {"nobody", "agent", "operator"}, authz.Agent: {"agent"}, authz.Operator: {"operator"},
	}
	if len(services) != 8 {
		t.Errorf("%d services", len(services))
	}
	for service, info := range services {
		for _, method := range info.Methods {
			full := "/" + service + "/" + method.Name
			access := authz.Of(full)
			if access == authz.Nobody {
				t.Errorf("%s is not in the table", full)
			}
			if want := map[bool]authz.Access{true: authz.Operator}[strings.Contains(full, "Admin") || strings.Contains(full, "Reflection")]; want != "" && access != want {
				t.Errorf("%s may be called by %s", full, access)
			}
			for caller, conn := range callers {
				err := call(t, conn, full, method)
				refused := status.Code(err) == codes.PermissionDenied || status.Code(err) == codes.Unauthenticated
				if want := !strings.Contains(strings.Join(allowed[access], " "), caller); refused != want {
					t.Errorf("%s calls %s: %v", caller, full, err)
				}
			}
		}
	}
	if got := authz.Of("/wolkvox.backup.v1.UnknownService/Do"); got != authz.Nobody {
		t.Errorf("an unknown method may be called by %s", got)
	}
}

// call sends an empty request and returns the first error, nil where there is an answer.
func call(t *testing.T, conn *grpc.ClientConn, full string, method grpc.MethodInfo) error {
	t.Helper()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: method.IsClientStream, ServerStreams: true}, full)
	if err != nil {
		return err
	}
	// Every request here reads as empty in every message.
	if err := stream.SendMsg(&healthv1.HealthCheckRequest{}); err != nil {
		return stream.RecvMsg(&healthv1.HealthCheckResponse{})
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(&healthv1.HealthCheckResponse{})
}
