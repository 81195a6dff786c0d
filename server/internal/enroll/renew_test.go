package enroll

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
)

const day = 24 * time.Hour

// enrolledAt makes an agent that was let in at an instant, and returns it with its credential.
func (f *fleet) enrolledAt(t *testing.T, destination, name string, at time.Time) (*machine, identity.Credential) {
	t.Helper()
	secret, origin := f.newToken(t, "acme", destination, at, time.Hour)
	m := newMachine(t, name)
	response, err := f.service.enroll(t.Context(), m.request(t, secret, origin), at)
	check(t, err)
	return m, credentialOf(t, m.key, response.GetCertificates())
}

func credentialOf(t *testing.T, key *ecdsa.PrivateKey, ders [][]byte) identity.Credential {
	t.Helper()
	certs, err := identity.ParseCertificates(ders)
	check(t, err)
	c, err := identity.NewCredential(certs[0], key, certs[1:]...)
	check(t, err)
	return c
}

// renew calls the server over TLS with a certificate.
func (f *fleet) renew(t *testing.T, m *machine, own ...tls.Certificate) (*backupv1.RenewCertificateResponse, error) {
	t.Helper()
	config := identity.EnrollingConfig("127.0.0.1", f.authority.Pin(), time.Now, own...)
	conn, err := grpc.NewClient("passthrough:///"+f.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	check(t, err)
	defer conn.Close()
	return backupv1.NewEnrollmentServiceClient(conn).RenewCertificate(t.Context(), &backupv1.RenewCertificateRequest{
		CertificateRequest: m.certificateRequest(t, m.name),
	})
}

// clones takes down what is reported.
type clones struct {
	mu     sync.Mutex
	agents []string
}

func (c *clones) Cloned(tenant, agent, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agents = append(c.agents, tenant+"/"+agent)
}

func TestRenewCertificate(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	now := time.Now()
	_, present := f.enrolledAt(t, "nas", agentA, now.Add(-60*day))
	next := newMachine(t, agentA)
	first, err := f.renew(t, next, present.Certificate)
	check(t, err)
	second := credentialOf(t, next.key, first.GetCertificates())
	if end := second.Certificate.Leaf.NotAfter; end.Before(now.Add(identity.AgentLifetime-time.Minute)) || first.GetServerTime().AsTime().Before(now.Add(-time.Minute)) {
		t.Errorf("the next certificate ends at %v, the server's time is %v", end, first.GetServerTime().AsTime())
	}
	again, err := f.renew(t, next, present.Certificate)
	if err != nil || !bytes.Equal(again.GetCertificates()[0], first.GetCertificates()[0]) {
		t.Errorf("asked again with the same key: another certificate, %v", err)
	}

	// The first call with the next certificate puts it in use. The one before is refused, and noticed as a clone.
	reporter := &clones{}
	admission := NewAdmission(f.registry, nobody, reporter, f.service.log)
	role := identity.AgentRole("acme", agentA)
	old, fresh := present.Certificate.Leaf, second.Certificate.Leaf
	check(t, admission.Admit(old, role, now))
	check(t, admission.Admit(fresh, role, now))
	for _, after := range []time.Duration{time.Second, time.Minute} { // calls that were under way are no clone
		wantReason(t, "the certificate before", admission.Admit(old, role, now.Add(after)), codes.PermissionDenied, wire.ReasonRevoked)
	}
	if len(reporter.agents) != 0 {
		t.Errorf("%v were reported at once", reporter.agents)
	}
	for _, after := range []time.Duration{time.Minute + time.Second, 2 * time.Minute, time.Hour} {
		wantReason(t, "the certificate before", admission.Admit(old, role, now.Add(after)), codes.PermissionDenied, wire.ReasonRevoked)
		check(t, admission.Admit(fresh, role, now.Add(after)))
	}
	if len(reporter.agents) != 1 || reporter.agents[0] != "acme/"+agentA {
		t.Errorf("reported %v, want the agent once", reporter.agents)
	}
	wantReason(t, "the certificate before", admission.Admit(old, role, now.Add(2*time.Hour)), codes.PermissionDenied, wire.ReasonRevoked)
	if len(reporter.agents) != 2 {
		t.Errorf("reported %v, want it again after an hour", reporter.agents)
	}
	_, err = f.renew(t, newMachine(t, agentA), present.Certificate)
	wantReason(t, "renewal with the certificate before", err, codes.PermissionDenied, wire.ReasonRevoked)
	if _, err := f.renew(t, newMachine(t, agentA), second.Certificate); err != nil {
		t.Errorf("the next renewal: %v", err)
	}
}

func nobody(string, string) bool { return false }

func TestAdmissionOfOthers(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	served := false
	serves := func(tenant, agent string) bool { return served && tenant == "acme" && agent == agentB }
	admission := NewAdmission(f.registry, serves, &clones{}, f.service.log)
	operator, err := f.authority.NewOperator("maria", time.Now())
	check(t, err)
	check(t, admission.Admit(operator.Certificate.Leaf, identity.OperatorRole("maria"), time.Now()))
	cert, err := f.authority.IssueAgent(newMachine(t, agentB).key.Public(), "acme", agentB, time.Now())
	check(t, err)
	role := identity.AgentRole("acme", agentB)
	wantReason(t, "an agent that was not let in", admission.Admit(cert, role, time.Now()), codes.PermissionDenied, wire.ReasonNotEnrolled)
	served = true // by a log that came back after the registry was restored
	check(t, admission.Admit(cert, role, time.Now()))
	if a, err := f.registry.Agent("acme", agentB); err != nil || a.KeyHash != identity.KeyHash(cert) {
		t.Errorf("the registry has %+v, %v", a, err)
	}
}

func TestRenewalAfterTheEnd(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	_, present := f.enrolledAt(t, "nas", agentA, time.Now().Add(-identity.AgentLifetime-29*day))
	if _, err := f.renew(t, newMachine(t, agentA), present.Certificate); err != nil {
		t.Errorf("29 days after the end: %v", err)
	}
	_, present = f.enrolledAt(t, "tape", agentB, time.Now().Add(-identity.AgentLifetime-31*day))
	if _, err := f.renew(t, newMachine(t, agentB), present.Certificate); err == nil || wire.Reason(err) != "" {
		t.Errorf("31 days after the end: %v, want no connection", err)
	}
	// On a connection that was opened earlier.
	ctx := peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{
		State: tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{present.Certificate.Leaf}}},
	}})
	_, err := f.service.RenewCertificate(ctx, &backupv1.RenewCertificateRequest{CertificateRequest: newMachine(t, agentB).certificateRequest(t, agentB)})
	wantReason(t, "31 days after the end, on a connection that is open", err, codes.Unauthenticated, wire.ReasonNoCertificate)
}

func TestRenewRefuses(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	a, present := f.enrolledAt(t, "nas", agentA, time.Now())
	operator, err := f.authority.NewOperator("maria", time.Now())
	check(t, err)
	stranger := newMachine(t, agentB)
	cert, err := f.authority.IssueAgent(stranger.key.Public(), "acme", agentB, time.Now())
	check(t, err)
	for what, test := range map[string]struct {
		machine *machine
		own     []tls.Certificate
		code    codes.Code
		reason  string
	}{
		"no certificate":                {newMachine(t, agentA), nil, codes.Unauthenticated, wire.ReasonNoCertificate},
		"an operator":                   {newMachine(t, agentA), []tls.Certificate{operator.Certificate}, codes.PermissionDenied, wire.ReasonNotAllowed},
		"an agent that nobody enrolled": {newMachine(t, agentB), []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: stranger.key}}, codes.PermissionDenied, wire.ReasonNotEnrolled},
		"a request of another agent":    {newMachine(t, agentB), []tls.Certificate{present.Certificate}, codes.InvalidArgument, wire.ReasonBadRequest},
		"a request for the same key":    {a, []tls.Certificate{present.Certificate}, codes.InvalidArgument, wire.ReasonBadRequest},
	} {
		_, err := f.renew(t, test.machine, test.own...)
		wantReason(t, what, err, test.code, test.reason)
	}
}

// An agent that asks for certificate after certificate has to wait, and nobody else has.
func TestRenewalsAreLimited(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	_, busy := f.enrolledAt(t, "nas", agentA, time.Now())
	_, other := f.enrolledAt(t, "tape", agentB, time.Now())
	for range renewalsBurst {
		_, err := f.renew(t, newMachine(t, agentA), busy.Certificate)
		check(t, err)
	}
	_, err := f.renew(t, newMachine(t, agentA), busy.Certificate)
	wantReason(t, "one renewal more", err, codes.Unavailable, wire.ReasonTryLater)
	if _, err := f.renew(t, newMachine(t, agentB), other.Certificate); err != nil {
		t.Errorf("another agent's renewal: %v", err)
	}
	if wait := f.service.limits.waitToRenew(identity.AgentRole("acme", agentA), time.Now().Add(2*time.Minute)); wait != 0 {
		t.Errorf("after two minutes it waits for %v more", wait)
	}
}

// An answer that an intermediate gave that is not the current one any more is given anew; what enrolling answered holds.
func TestAnswersAfterRotation(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	dir := t.TempDir()
	check(t, f.authority.Save(dir))
	secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	m, next := newMachine(t, agentA), newMachine(t, agentA)
	response, err := f.enroll(t, m.request(t, secret, origin))
	check(t, err)
	present := credentialOf(t, m.key, response.GetCertificates())
	first, err := f.renew(t, next, present.Certificate)
	check(t, err)
	rootKey, err := f.authority.LoadRootKey(dir, "")
	check(t, err)
	rotated, err := f.authority.Rotate(rootKey, time.Now())
	check(t, err)
	f.service.authority = rotated
	second, err := f.renew(t, next, present.Certificate)
	check(t, err)
	leaf, err := x509.ParseCertificate(second.GetCertificates()[0])
	check(t, err)
	if bytes.Equal(first.GetCertificates()[0], second.GetCertificates()[0]) || leaf.CheckSignatureFrom(rotated.Issuer()) != nil {
		t.Error("the answer is still of the earlier intermediate")
	}
	credentialOf(t, next.key, second.GetCertificates())
	again, err := f.enroll(t, m.request(t, secret, origin))
	check(t, err)
	credentialOf(t, m.key, again.GetCertificates())
}
