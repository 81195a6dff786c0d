package authz_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// callerContext is the context of a call by the holder of a certificate.
func callerContext(t *testing.T, cert *x509.Certificate) context.Context {
	t.Helper()
	return peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{
		State: tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert}}},
	}})
}

func unary(ctx context.Context, g *authz.Guard, full string, request any) error {
	_, err := g.Unary(ctx, request, &grpc.UnaryServerInfo{FullMethod: full}, func(context.Context, any) (any, error) { return nil, nil })
	return err
}

// issue returns a certificate for a role.
func issue(t *testing.T, s *servertest.Server, role identity.Role) *x509.Certificate {
	t.Helper()
	key, err := identity.NewKey()
	s.Must(err)
	if role.Kind == identity.KindAgent {
		cert, err := s.Authority.IssueAgent(key.Public(), role.Tenant, role.Name, time.Now())
		s.Must(err)
		return cert
	}
	cert, err := s.Authority.IssuePerson(key.Public(), role, time.Now())
	s.Must(err)
	return cert
}

func TestRevokedAreRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, "UTC", backup.StorageRSYNC, time.Now())
	agent := identity.AgentRole(servertest.Tenant, servertest.Agent)
	operator := identity.OperatorRole("alice")
	first, second := issue(t, s, operator), issue(t, s, operator)
	early, late := issue(t, s, agent), issue(t, s, agent)
	sibling := issue(t, s, identity.AgentRole(servertest.Tenant, "bbbbbbbbbbbbbbbb"))
	namesake := issue(t, s, identity.AgentRole("other", servertest.Agent))

	g := &authz.Guard{}
	g.RevokeCertificate(identity.Serial(first))
	g.RevokeAgent(servertest.Tenant, servertest.Agent)
	for _, c := range []struct {
		what    string
		cert    *x509.Certificate
		full    string
		revoked bool
	}{
		{"a revoked certificate", first, backupv1.AdminService_ListTenants_FullMethodName, true},
		{"a revoked certificate, where it may not call", first, backupv1.HeartbeatService_Heartbeat_FullMethodName, true},
		{"a revoked certificate, where anyone may call", first, "/grpc.health.v1.Health/Check", true},
		{"another certificate of the same operator", second, backupv1.AdminService_ListTenants_FullMethodName, false},
		{"an agent that was revoked", early, backupv1.HeartbeatService_Heartbeat_FullMethodName, true},
		{"the agent with another certificate", late, backupv1.HeartbeatService_Heartbeat_FullMethodName, true},
		{"the agent, to renew", late, backupv1.EnrollmentService_RenewCertificate_FullMethodName, true},
		{"the agent, to enroll", late, backupv1.EnrollmentService_Enroll_FullMethodName, true},
		{"another agent of the tenant", sibling, backupv1.HeartbeatService_Heartbeat_FullMethodName, false},
		{"an agent of that name at another tenant", namesake, backupv1.HeartbeatService_Heartbeat_FullMethodName, false},
	} {
		err := unary(callerContext(t, c.cert), g, c.full, &backupv1.HeartbeatRequest{})
		if (wire.Reason(err) == wire.ReasonRevoked) != c.revoked || err != nil != c.revoked {
			t.Errorf("%s: %v, revoked %t", c.what, err, c.revoked)
		}
	}
}

// waiting is a ledger service whose streams behave in different ways when their caller is revoked.
type waiting struct {
	backupv1.UnimplementedLedgerServiceServer
	begun chan string
}

// WatchLedger waits for the end of the call.
func (w waiting) WatchLedger(_ *backupv1.WatchLedgerRequest, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	w.begun <- "watch"
	<-stream.Context().Done()
	return stream.Context().Err()
}

// OfferLedger is stuck in a message that does not come.
func (w waiting) OfferLedger(stream grpc.BidiStreamingServer[backupv1.OfferLedgerRequest, backupv1.OfferLedgerResponse]) error {
	w.begun <- "offer"
	_, err := stream.Recv()
	return err
}

// ReadManifest is stuck in messages that nobody reads.
func (w waiting) ReadManifest(_ *backupv1.ReadManifestRequest, stream grpc.ServerStreamingServer[backupv1.ReadManifestResponse]) error {
	w.begun <- "read"
	for {
		if err := stream.Send(&backupv1.ReadManifestResponse{Lines: make([]byte, 1<<20)}); err != nil {
			return err
		}
	}
}

// SubmitReceipts waits for the end of the call.
func (w waiting) SubmitReceipts(ctx context.Context, _ *backupv1.SubmitReceiptsRequest) (*backupv1.SubmitReceiptsResponse, error) {
	w.begun <- "submit"
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestOpenCallsOfTheRevokedEnd(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, "UTC", backup.StorageRSYNC, time.Now())
	service := waiting{begun: make(chan string)}
	address := s.Serve(func(g *grpc.Server) { backupv1.RegisterLedgerServiceServer(g, service) })
	revoked := backupv1.NewLedgerServiceClient(s.Dial(address, identity.AgentRole(servertest.Tenant, servertest.Agent)))
	spared := backupv1.NewLedgerServiceClient(s.Dial(address, identity.AgentRole(servertest.Tenant, "bbbbbbbbbbbbbbbb")))

	results := make(chan error)
	begin := func(wait func() error) {
		go func() { results <- wait() }()
		<-service.begun
	}
	watch, err := revoked.WatchLedger(t.Context(), &backupv1.WatchLedgerRequest{})
	s.Must(err)
	begin(func() error { _, err := watch.Recv(); return err })
	offer, err := revoked.OfferLedger(t.Context())
	s.Must(err)
	begin(func() error { _, err := offer.Recv(); return err })
	begin(func() error {
		_, err := revoked.SubmitReceipts(t.Context(), &backupv1.SubmitReceiptsRequest{})
		return err
	})
	unread, err := revoked.ReadManifest(t.Context(), &backupv1.ReadManifestRequest{})
	s.Must(err)
	<-service.begun

	other, err := spared.WatchLedger(t.Context(), &backupv1.WatchLedgerRequest{})
	s.Must(err)
	<-service.begun

	s.Guard.RevokeAgent(servertest.Tenant, servertest.Agent)
	for range 3 {
		if err := <-results; wire.Reason(err) != wire.ReasonRevoked {
			t.Errorf("an open call of a revoked agent ended with %v, want REVOKED", err)
		}
	}
	for err == nil {
		_, err = unread.Recv()
	}
	if wire.Reason(err) != wire.ReasonRevoked {
		t.Errorf("a stream that was not read ended with %v, want REVOKED", err)
	}
	s.Must(other.Context().Err())
	s.Guard.RevokeAgent(servertest.Tenant, "bbbbbbbbbbbbbbbb")
	if _, err := other.Recv(); wire.Reason(err) != wire.ReasonRevoked {
		t.Errorf("the other agent's watch ended with %v, want it to last until it is revoked too", err)
	}
}

// All that is of a retired tenant is refused, also what no registry knows, and nothing else.
func TestRevokedTenants(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, "UTC", backup.StorageRSYNC, time.Now())
	g := &authz.Guard{}
	g.RevokeTenant("acme")
	const destinations, heartbeat = backupv1.AdminService_ListDestinations_FullMethodName, backupv1.HeartbeatService_Heartbeat_FullMethodName
	for _, c := range []struct {
		role    identity.Role
		full    string
		revoked bool
	}{
		{identity.AgentRole("acme", servertest.Agent), heartbeat, true},
		{identity.ClientRole("acme", "ana"), destinations, true},
		{identity.AuditorRole("acme", "ana"), destinations, true},
		{identity.OperatorRole("acme"), destinations, false},
		{identity.AgentRole("acme2", servertest.Agent), heartbeat, false},
		{identity.ClientRole("acme2", "ana"), destinations, false},
	} {
		err := unary(callerContext(t, issue(t, s, c.role)), g, c.full, &backupv1.ListDestinationsRequest{Tenant: c.role.Tenant})
		if (wire.Reason(err) == wire.ReasonRevoked) != c.revoked || err != nil != c.revoked {
			t.Errorf("%s: %v, revoked %t", c.role, err, c.revoked)
		}
	}
}

// What is open ends with the tenant's retirement, with the certificate's replacement by a later one, and with the
// certificate itself; what others have open goes on.
func TestOpenCallsEnd(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, "UTC", backup.StorageRSYNC, time.Now())
	role := identity.AgentRole("acme", servertest.Agent)
	cert := issue(t, s, role)
	ending := issue(t, s, role)
	key := identity.KeyHash(cert)
	// Certificates end at whole seconds.
	ending.NotAfter = time.Now().Add(50 * time.Millisecond)
	for what, test := range map[string]struct {
		cert   *x509.Certificate
		end    func(g *authz.Guard)
		reason string // empty where the call goes on
	}{
		"the tenant":                      {cert, func(g *authz.Guard) { g.RevokeTenant("acme") }, wire.ReasonRevoked},
		"another tenant":                  {cert, func(g *authz.Guard) { g.RevokeTenant("other") }, ""},
		"replaced":                        {cert, func(g *authz.Guard) { g.Replaced("acme", servertest.Agent, key) }, wire.ReasonRevoked},
		"another certificate replaced":    {cert, func(g *authz.Guard) { g.Replaced("acme", servertest.Agent, identity.KeyHash(ending)) }, ""},
		"another agent's replaced":        {cert, func(g *authz.Guard) { g.Replaced("acme", "bbbbbbbbbbbbbbbb", key) }, ""},
		"another tenant's agent replaced": {cert, func(g *authz.Guard) { g.Replaced("other", servertest.Agent, key) }, ""},
		"ended":                           {ending, func(*authz.Guard) {}, wire.ReasonNoCertificate},
	} {
		g := &authz.Guard{}
		info := &grpc.StreamServerInfo{FullMethod: backupv1.LedgerService_WatchLedger_FullMethodName, IsServerStream: true}
		err := g.Stream(nil, openStream{ctx: callerContext(t, test.cert)}, info, func(_ any, stream grpc.ServerStream) error {
			test.end(g)
			if test.reason != "" {
				select {
				case <-stream.Context().Done():
				case <-time.After(time.Minute):
				}
			}
			return stream.Context().Err()
		})
		if wire.Reason(err) != test.reason || (err == nil) != (test.reason == "") {
			t.Errorf("%s: %v, want %q", what, err, test.reason)
		}
	}
}

// Whoever revokes himself hears that it was done.
func TestRevokingOneself(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, "UTC", backup.StorageRSYNC, time.Now())
	cert := issue(t, s, identity.OperatorRole("alice"))
	g := &authz.Guard{}
	info := &grpc.UnaryServerInfo{FullMethod: backupv1.AdminService_RevokeCredential_FullMethodName}
	for _, failed := range []error{nil, errors.New("too late")} {
		g := &authz.Guard{}
		res, err := g.Unary(callerContext(t, cert), &backupv1.RevokeCredentialRequest{}, info, func(ctx context.Context, _ any) (any, error) {
			g.RevokeCertificate(identity.Serial(cert))
			if ctx.Err() == nil {
				t.Error("the call goes on as if nobody had been revoked")
			}
			return "done", failed
		})
		if failed == nil && (res != "done" || err != nil) || failed != nil && wire.Reason(err) != wire.ReasonRevoked {
			t.Errorf("the call = %v, %v", res, err)
		}
	}
	if err := unary(callerContext(t, cert), g, info.FullMethod, &backupv1.RevokeCredentialRequest{}); err != nil {
		t.Errorf("at a server that revoked nobody: %v", err)
	}
}

// admission refuses every certificate, and notes whose.
type admission struct{ asked []identity.Role }

var errAdmission = errors.New("not admitted")

func (a *admission) Admit(_ *x509.Certificate, role identity.Role, _ time.Time) error {
	a.asked = append(a.asked, role)
	return errAdmission
}

func TestAdmissionIsAskedOfWhomTheTableAllows(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, "UTC", backup.StorageRSYNC, time.Now())
	agent := identity.AgentRole(servertest.Tenant, servertest.Agent)
	cert := issue(t, s, agent)
	a := &admission{}
	g := &authz.Guard{Admission: a}
	if err := unary(callerContext(t, cert), g, backupv1.HeartbeatService_Heartbeat_FullMethodName, nil); !errors.Is(err, errAdmission) {
		t.Errorf("Heartbeat = %v, want what the admission says", err)
	}
	if err := unary(callerContext(t, cert), g, backupv1.AdminService_ListTenants_FullMethodName, nil); wire.Reason(err) != wire.ReasonNotAllowed {
		t.Errorf("ListTenants = %v, want what the table says", err)
	}
	if err := unary(callerContext(t, cert), g, backupv1.EnrollmentService_Enroll_FullMethodName, nil); err != nil {
		t.Errorf("Enroll = %v, want it let in, because it wants no certificate", err)
	}
	if len(a.asked) != 1 || a.asked[0] != agent {
		t.Errorf("asked of %v, want only of the heartbeat", a.asked)
	}
}

// stranger admits nobody, because it knows of nobody.
type stranger struct{}

func (stranger) Admit(*x509.Certificate, identity.Role, time.Time) error {
	return wire.Error(codes.PermissionDenied, wire.ReasonNotEnrolled, "unknown")
}

func TestForgottenAgentsMayShowWhatTheyHold(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, "UTC", backup.StorageRSYNC, time.Now())
	ctx := callerContext(t, issue(t, s, identity.AgentRole(servertest.Tenant, servertest.Agent)))
	for method, want := range map[string]string{
		backupv1.LedgerService_WatchLedger_FullMethodName:    "",
		backupv1.LedgerService_OfferLedger_FullMethodName:    "",
		backupv1.LedgerService_ReadManifest_FullMethodName:   wire.ReasonNotEnrolled,
		backupv1.HeartbeatService_Heartbeat_FullMethodName:   wire.ReasonNotEnrolled,
		backupv1.ContentService_FetchContents_FullMethodName: wire.ReasonNotEnrolled,
	} {
		if err := unary(ctx, &authz.Guard{Admission: stranger{}}, method, nil); wire.Reason(err) != want {
			t.Errorf("%s = %v, want %q", method, err, want)
		}
	}
}
