package server_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server"
)

// Callers of the test, and what each is to the destination acme/nas that the calls are about.
const (
	nobody           = "no certificate"
	agent            = "the agent of the destination"
	otherTenant      = "an agent of another tenant"
	otherDestination = "an agent of another destination of the tenant"
	stranger         = "an agent's certificate that nobody enrolled"
	client           = "a client of the tenant"
	otherClient      = "a client of another tenant"
	auditor          = "an auditor of the tenant"
	otherAuditor     = "an auditor of another tenant"
	platform         = "a platform of the tenant"
	otherPlatform    = "a platform of another tenant"
	admin            = "an operator"
	goneAgent        = "an agent of the tenant that was revoked"
	goneClient       = "a client of the tenant who was revoked"
	goneAuditor      = "an auditor of the tenant who was revoked"
	gonePlatform     = "a platform of the tenant that was revoked"
	goneAdmin        = "an operator who was revoked"
)

var (
	agents = []string{agent, otherTenant, otherDestination, stranger}
	gone   = []string{goneAgent, goneClient, goneAuditor, gonePlatform, goneAdmin}
	anyone = append([]string{nobody, client, otherClient, auditor, otherAuditor, platform, otherPlatform, admin}, agents...)
)

// allowed says who may call the methods of each service that reflection shows; all others are refused.
var allowed = map[string][]string{
	"wolkvox.backup.v1.EnrollmentService":      anyone,
	"wolkvox.backup.v1.LedgerService":          {agent},
	"wolkvox.backup.v1.ContentService":         {agent},
	"wolkvox.backup.v1.HeartbeatService":       {agent},
	"wolkvox.backup.v1.AdminService":           {admin},
	"wolkvox.backup.v1.CatalogService":         {admin, platform},
	"wolkvox.backup.v1.StorageService":         {agent},
	"grpc.health.v1.Health":                    anyone,
	"grpc.reflection.v1.ServerReflection":      {admin},
	"grpc.reflection.v1alpha.ServerReflection": {admin},
}

// exceptions says it of the methods that depart from their service. A heartbeat reports any destination, and is told of
// those that are not the agent's that they are not.
var exceptions = map[string][]string{
	"wolkvox.backup.v1.HeartbeatService.Heartbeat":         {agent, otherTenant, otherDestination},
	"wolkvox.backup.v1.EnrollmentService.RenewCertificate": {agent, otherTenant, otherDestination},
	"wolkvox.backup.v1.AdminService.ListDestinations":      {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.ListAgents":            {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.ListNights":            {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.ListItems":             {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.ListAlarms":            {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.VerifyLedger":          {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.ExportLedger":          {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.ProveLedgerItem":       {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.ListExpiring":          {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.ListUnrecorded":        {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.ReadExpiryCertificate": {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.FindRecordings":        {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.ReadAdminLog":          {admin, auditor},
	"wolkvox.backup.v1.StorageService.StatFiles":           {agent, client, auditor},
	"wolkvox.backup.v1.StorageService.ListFiles":           {agent, client, auditor},
	"wolkvox.backup.v1.StorageService.ReadFile":            {agent, client, auditor},
	"wolkvox.backup.v1.StorageService.ReadUsage":           {agent, client, auditor},
	"wolkvox.backup.v1.AdminService.ListDoorKeys":          {admin, client, auditor},
	"wolkvox.backup.v1.AdminService.AddDoorKey":            {admin, client},
	"wolkvox.backup.v1.AdminService.RemoveDoorKey":         {admin, client},
}

// refusals are the reasons by which a caller is refused as such.
var refusals = []string{wire.ReasonNoCertificate, wire.ReasonNotAllowed, wire.ReasonNotAssigned, wire.ReasonNotEnrolled, wire.ReasonOtherTenant, wire.ReasonRevoked}

func TestWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone America/Bogota --quiet 0s")
	f.must(t, "tenant add globex --time-zone Europe/Madrid")
	f.must(t, "source add acme calls --directory "+recordings(t, map[string]string{"a.txt": "hello"}))
	for _, destination := range []string{"acme nas", "acme cloud", "acme old", "globex nas"} {
		f.must(t, "destination add "+destination+" --kind rsync")
	}
	own, origin := f.enroll(t, "acme", "nas")
	sibling, _ := f.enroll(t, "acme", "cloud")
	foreign, _ := f.enroll(t, "globex", "nas")
	revoked, _ := f.enroll(t, "acme", "old")
	f.must(t, "seal acme --wait")

	callers := map[string]*grpc.ClientConn{
		nobody:           f.dial(t, identity.EnrollingConfig("127.0.0.1", identity.KeyHash(own.Authority), time.Now)),
		agent:            f.as(t, own),
		otherTenant:      f.as(t, foreign),
		otherDestination: f.as(t, sibling),
		stranger:         f.as(t, f.unenrolled(t)),
		client:           f.as(t, f.issue(t, "client acme ana").Credential),
		otherClient:      f.as(t, f.issue(t, "client globex ana").Credential),
		auditor:          f.as(t, f.issue(t, "auditor acme ben").Credential),
		otherAuditor:     f.as(t, f.issue(t, "auditor globex ben").Credential),
		platform:         f.as(t, f.issue(t, "platform acme recorder").Credential),
		otherPlatform:    f.as(t, f.issue(t, "platform globex recorder").Credential),
		admin:            f.as(t, f.credential(t).Credential),
		goneAgent:        f.as(t, revoked),
	}
	role, err := identity.RoleOf(revoked.Certificate.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	f.must(t, "agents revoke acme "+role.Name+" --reason gone")
	for who, issued := range map[string]string{goneClient: "client acme eva", goneAuditor: "auditor acme eva", gonePlatform: "platform acme eva", goneAdmin: "operator eva"} {
		c := f.issue(t, issued)
		f.must(t, "credential revoke "+identity.Serial(c.Certificate.Leaf)+" --reason gone")
		callers[who] = f.as(t, c.Credential)
	}
	services := reflected(t, callers[admin])
	if len(services) != len(allowed) {
		t.Errorf("reflection shows %d services, the table has %d", len(services), len(allowed))
	}
	seen := 0
	for _, service := range services {
		if _, known := allowed[string(service.FullName())]; !known {
			t.Errorf("%s is not in the table", service.FullName())
		}
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			may, special := exceptions[string(method.FullName())]
			if special {
				seen++
			} else {
				may = allowed[string(service.FullName())]
			}
			for who, conn := range callers {
				judge(t, method, who, slices.Contains(may, who), invoke(t, conn, method, origin))
			}
		}
	}
	if seen != len(exceptions) {
		t.Errorf("%d of %d exceptions are methods that reflection shows", seen, len(exceptions))
	}
	heartbeatOfOthers(t, callers, origin)
}

// judge checks the answer to a caller who may call the method, or may not.
func judge(t *testing.T, method protoreflect.MethodDescriptor, who string, may bool, err error) {
	t.Helper()
	code, reason := status.Code(err), wire.Reason(err)
	// Which destination an agent may speak for is judged by the methods, and one that is not there does nothing.
	judges := slices.Contains(agents, who) && method.Parent().Name() != "AdminService"
	if code == codes.Unimplemented && (may || judges) {
		return
	}
	refused := slices.Contains(refusals, reason)
	switch {
	case may && (refused || code == codes.Internal):
		t.Errorf("%s by %s: %v, want it let in", method.FullName(), who, err)
	case may:
	case !refused || code != codes.PermissionDenied && code != codes.Unauthenticated:
		t.Errorf("%s by %s: %v, want it refused", method.FullName(), who, err)
	case (who == nobody) != (code == codes.Unauthenticated):
		t.Errorf("%s by %s: %s", method.FullName(), who, code)
	case slices.Contains(gone, who) != (reason == wire.ReasonRevoked):
		t.Errorf("%s by %s: %s", method.FullName(), who, reason)
	}
}

// heartbeatOfOthers checks what an agent learns of a destination that is not its own: nothing.
func heartbeatOfOthers(t *testing.T, callers map[string]*grpc.ClientConn, origin ledger.Origin) {
	t.Helper()
	for _, who := range []string{otherTenant, otherDestination} {
		res, err := backupv1.NewHeartbeatServiceClient(callers[who]).Heartbeat(t.Context(), &backupv1.HeartbeatRequest{
			Destinations: []*backupv1.DestinationReport{{Origin: string(origin)}},
		})
		if err != nil {
			t.Errorf("Heartbeat by %s = %v", who, err)
			continue
		}
		want := &backupv1.DestinationOrder{Origin: string(origin), Status: backupv1.AssignmentStatus_ASSIGNMENT_STATUS_NOT_ASSIGNED}
		if got := res.GetDestinations(); len(got) != 1 || !proto.Equal(got[0], want) {
			t.Errorf("Heartbeat by %s = %v, want only %v", who, got, want)
		}
	}
}

// unenrolled returns a certificate of the right authority, with the name of the tenant, that no agent was given.
func (f *fixture) unenrolled(t *testing.T) identity.Credential {
	t.Helper()
	authority, err := identity.LoadAuthority(f.path("state", "identity"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.IssueAgent(key.Public(), "acme", "00000000000000ff", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := authority.NewCredential(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestForeignCertificates connects with certificates of another server's authority.
func TestForeignCertificates(t *testing.T) {
	t.Parallel()
	f, other := newFixture(t), newFixture(t)
	f.serve(t)
	c := other.credential(t).Credential
	c.Authority = f.credential(t).Authority
	_, err := backupv1.NewAdminServiceClient(f.as(t, c)).ListTenants(t.Context(), &backupv1.ListTenantsRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("ListTenants with another authority's operator = %v, want the connection refused", err)
	}
	expired, err := server.NewCredential(f.load(t), "gone", time.Now().Add(-2*identity.OperatorLifetime))
	if err != nil {
		t.Fatal(err)
	}
	_, err = backupv1.NewAdminServiceClient(f.as(t, expired.Credential)).ListTenants(t.Context(), &backupv1.ListTenantsRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("ListTenants with an expired certificate = %v, want the connection refused", err)
	}
}

// reflected returns the services that the server shows, as it describes them.
func reflected(t *testing.T, conn *grpc.ClientConn) []protoreflect.ServiceDescriptor {
	t.Helper()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(request *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		res, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	files := map[string]*descriptorpb.FileDescriptorProto{}
	var names []protoreflect.FullName
	list := ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	for _, service := range list.GetListServicesResponse().GetService() {
		names = append(names, protoreflect.FullName(service.GetName()))
		res := ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service.GetName()}})
		for _, raw := range res.GetFileDescriptorResponse().GetFileDescriptorProto() {
			file := &descriptorpb.FileDescriptorProto{}
			if err := proto.Unmarshal(raw, file); err != nil {
				t.Fatal(err)
			}
			files[file.GetName()] = file
		}
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, file := range files {
		set.File = append(set.File, file)
	}
	registry, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	var services []protoreflect.ServiceDescriptor
	for _, name := range names {
		d, err := registry.FindDescriptorByName(name)
		if err != nil {
			t.Fatal(err)
		}
		services = append(services, d.(protoreflect.ServiceDescriptor))
	}
	return services
}

// about has a request name the log with this origin, and its tenant and destination, as far as it names such things.
func about(request protoreflect.Message, origin ledger.Origin) {
	for name, value := range map[protoreflect.Name]string{"origin": string(origin), "tenant": origin.Tenant(), "destination": origin.Destination()} {
		if field := request.Descriptor().Fields().ByName(name); field != nil && field.Kind() == protoreflect.StringKind {
			request.Set(field, protoreflect.ValueOfString(value))
		}
	}
	if field := request.Descriptor().Fields().ByName("opening"); field != nil {
		about(request.Mutable(field).Message(), origin)
	}
}

// invoke calls a method about the log with this origin, and returns the error of its first answer.
func invoke(t *testing.T, conn *grpc.ClientConn, method protoreflect.MethodDescriptor, origin ledger.Origin) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := conn.NewStream(ctx, desc, "/"+string(method.Parent().FullName())+"/"+string(method.Name()))
	if err != nil {
		return err
	}
	request := dynamicpb.NewMessage(method.Input())
	about(request, origin)
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	err = stream.RecvMsg(dynamicpb.NewMessage(method.Output()))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
