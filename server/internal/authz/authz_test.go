package authz_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
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
		registerAll(g)
		services = g.GetServiceInfo()
	})
	const tenant, other = servertest.Tenant, "other"
	callers := []struct {
		role identity.Role
		is   authz.Callers // to a request that names tenant
	}{
		{identity.Role{}, authz.Nobody},
		{identity.AgentRole(tenant, servertest.Agent), authz.Agent},
		{identity.ClientRole(tenant, "ana"), authz.Client},
		{identity.ClientRole(other, "ana"), authz.Nobody},
		{identity.AuditorRole(tenant, "ben"), authz.Auditor},
		{identity.AuditorRole(other, "ben"), authz.Nobody},
		{identity.OperatorRole("alice"), authz.Operator},
		{identity.PlatformRole(tenant, "recorder"), authz.Platform},
		{identity.PlatformRole(other, "recorder"), authz.Nobody},
	}
	conns := make([]*grpc.ClientConn, len(callers))
	for i, c := range callers {
		conns[i] = s.Dial(address, c.role)
	}
	if len(services) != 10 {
		t.Errorf("%d services", len(services))
	}
	for service, info := range services {
		for _, method := range info.Methods {
			full := "/" + service + "/" + method.Name
			rule := authz.Of(full)
			if rule.Callers == authz.Nobody {
				t.Errorf("%s is not in the table", full)
			}
			for i, c := range callers {
				err := call(t, conns[i], full, tenant)
				refused := status.Code(err) == codes.PermissionDenied || status.Code(err) == codes.Unauthenticated
				if want := rule.Callers != authz.Anyone && rule.Callers&c.is == 0; refused != want {
					t.Errorf("%s calls %s: %v", c.role, full, err)
				}
				if rule.Callers&(authz.Client|authz.Auditor|authz.Platform) == 0 || c.role.Tenant != tenant || c.is == authz.Agent || rule.Callers&c.is == 0 {
					continue
				}
				for _, foreign := range []string{"", other, tenant + "/"} {
					if err := call(t, conns[i], full, foreign); wire.Reason(err) != wire.ReasonOtherTenant {
						t.Errorf("%s calls %s about %q: %v, want it refused", c.role, full, foreign, err)
					}
				}
			}
		}
	}
	for _, full := range []string{"/wolkvox.backup.v1.UnknownService/Do", "", "/", "/wolkvox.backup.v1.AgentService/GetStatus"} {
		if got := authz.Of(full); got != (authz.Rule{}) {
			t.Errorf("%q may be called by %s", full, got.Callers)
		}
	}
}

func registerAll(g *grpc.Server) {
	backupv1.RegisterEnrollmentServiceServer(g, backupv1.UnimplementedEnrollmentServiceServer{})
	backupv1.RegisterLedgerServiceServer(g, backupv1.UnimplementedLedgerServiceServer{})
	backupv1.RegisterContentServiceServer(g, backupv1.UnimplementedContentServiceServer{})
	backupv1.RegisterHeartbeatServiceServer(g, backupv1.UnimplementedHeartbeatServiceServer{})
	backupv1.RegisterAdminServiceServer(g, backupv1.UnimplementedAdminServiceServer{})
	backupv1.RegisterCatalogServiceServer(g, backupv1.UnimplementedCatalogServiceServer{})
	backupv1.RegisterStorageServiceServer(g, backupv1.UnimplementedStorageServiceServer{})
	healthv1.RegisterHealthServer(g, health.NewServer())
	reflection.Register(g)
}

// call sends a request that names the tenant, where it can, and returns the first error, nil where there is an answer.
func call(t *testing.T, conn *grpc.ClientConn, full, tenant string) error {
	t.Helper()
	method := descriptor(t, full)
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, full)
	if err != nil {
		return err
	}
	request := dynamicpb.NewMessage(method.Input())
	if field := method.Input().Fields().ByName("tenant"); field != nil && field.Kind() == protoreflect.StringKind {
		request.Set(field, protoreflect.ValueOfString(tenant))
	}
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(dynamicpb.NewMessage(method.Output()))
}

// descriptor returns the description of a method, given as "/package.Service/Method".
func descriptor(t *testing.T, full string) protoreflect.MethodDescriptor {
	t.Helper()
	var name protoreflect.FullName
	for i := range full {
		if i > 0 && full[i] == '/' {
			name = protoreflect.FullName(full[1:i] + "." + full[i+1:])
		}
	}
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.MethodDescriptor)
}

// A method that a tenant's people may call names the tenant in its request, or else nobody could tell theirs from others'.
func TestTenantsAreNamed(t *testing.T) {
	t.Parallel()
	var methods []protoreflect.MethodDescriptor
	for _, service := range []protoreflect.ServiceDescriptor{
		backupv1.File_wolkvox_backup_v1_admin_proto.Services().ByName("AdminService"),
		backupv1.File_wolkvox_backup_v1_storage_proto.Services().ByName("StorageService"),
	} {
		for i := range service.Methods().Len() {
			methods = append(methods, service.Methods().Get(i))
		}
	}
	found := 0
	for _, m := range methods {
		if authz.Of("/"+string(m.Parent().FullName())+"/"+string(m.Name())).Callers&(authz.Client|authz.Auditor) == 0 {
			continue
		}
		found++
		if field := m.Input().Fields().ByName("tenant"); field == nil || field.Kind() != protoreflect.StringKind || field.Cardinality() == protoreflect.Repeated {
			t.Errorf("%s names no tenant", m.Input().Name())
		}
	}
	if found != 20 {
		t.Errorf("%d methods are for a tenant's people", found)
	}
}

// A certificate that ends while its connection stays is refused with the next call, but for what renews it.
func TestEndedCertificates(t *testing.T) {
	t.Parallel()
	authority, err := identity.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.IssueAgent(key.Public(), "acme", servertest.Agent, time.Now().Add(-identity.AgentLifetime-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	ctx := callerContext(t, cert)
	for full, want := range map[string]codes.Code{
		backupv1.HeartbeatService_Heartbeat_FullMethodName:         codes.Unauthenticated,
		backupv1.EnrollmentService_Enroll_FullMethodName:           codes.Unauthenticated,
		backupv1.EnrollmentService_RenewCertificate_FullMethodName: codes.OK,
	} {
		if err := unary(ctx, &authz.Guard{}, full, &backupv1.HeartbeatRequest{}); status.Code(err) != want {
			t.Errorf("%s with a certificate that ended: %v, want %v", full, err, want)
		}
	}
}
