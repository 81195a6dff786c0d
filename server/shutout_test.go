package server_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

// watch opens an agent's watch of its log, and returns it once it was told of the log so far.
func watch(t *testing.T, conn *grpc.ClientConn, origin ledger.Origin) grpc.ServerStreamingClient[backupv1.WatchLedgerResponse] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	stream, err := backupv1.NewLedgerServiceClient(conn).WatchLedger(ctx, &backupv1.WatchLedgerRequest{
		Origin: string(origin), ProcessId: make([]byte, 16), Position: &backupv1.LogPosition{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // opened, and the log so far
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	return stream
}

// With a tenant everybody of it is shut out at once and for good, also whoever the registry does not know, such as one
// that it forgot when the server was restored.
func TestRetiredTenantIsShutOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC")
	f.must(t, "destination add acme nas --kind s3")
	enrolled, origin := f.enroll(t, "acme", "nas")
	open := watch(t, f.as(t, enrolled), origin)
	authority, err := identity.LoadAuthority(f.path("state", "identity"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.IssuePerson(key.Public(), identity.ClientRole("acme", "unknown"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := authority.NewCredential(cert, key)
	if err != nil {
		t.Fatal(err)
	}

	f.must(t, "tenant retire acme --reason over")
	for err == nil { // the entry that ends the log may come first
		_, err = open.Recv()
	}
	if wire.Reason(err) != wire.ReasonRevoked {
		t.Errorf("the agent's watch ended with %v, want REVOKED", err)
	}
	if at(t, f.must(t, "agents"), "agents", 0, "revoke_time") == nil {
		t.Error("the list of agents does not say that it was revoked")
	}
	for range 2 {
		_, err = backupv1.NewAdminServiceClient(f.as(t, unknown)).ListDestinations(t.Context(), &backupv1.ListDestinationsRequest{Tenant: "acme"})
		if wire.Reason(err) != wire.ReasonRevoked {
			t.Errorf("ListDestinations by a client that the registry does not know = %v, want REVOKED", err)
		}
		f.stop()
		f.serve(t)
	}
	if code, _, errs := f.do(t, "credential", "issue", "client", "acme", "ana", "--to", f.path("ana.pem")); code == 0 {
		t.Errorf("a credential of a retired tenant was issued: %s", errs)
	}
}

// A copy of an agent that holds a stream open loses it when the agent changes to its next certificate.
func TestCopyOfAnAgentLosesItsStream(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC")
	f.must(t, "destination add acme nas --kind s3")
	enrolled, origin := f.enroll(t, "acme", "nas")
	open := watch(t, f.as(t, enrolled), origin)
	role, err := identity.RoleOf(enrolled.Certificate.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: role.Name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	res, err := backupv1.NewEnrollmentServiceClient(f.as(t, enrolled)).RenewCertificate(t.Context(), &backupv1.RenewCertificateRequest{CertificateRequest: request})
	if err != nil {
		t.Fatal(err)
	}
	sent, err := identity.ParseCertificates(res.GetCertificates())
	if err != nil {
		t.Fatal(err)
	}
	next, err := enrolled.Renewed(sent, key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backupv1.NewHeartbeatServiceClient(f.as(t, next)).Heartbeat(t.Context(), &backupv1.HeartbeatRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := open.Recv(); wire.Reason(err) != wire.ReasonRevoked {
		t.Errorf("the stream of the certificate before ended with %v, want REVOKED", err)
	}
}
