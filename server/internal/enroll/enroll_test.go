package enroll

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// wantReason fails unless err is a status with the code and the reason.
func wantReason(t *testing.T, what string, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code || wire.Reason(err) != reason {
		t.Errorf("%s: %v (%s), want %v %s", what, err, wire.Reason(err), code, reason)
	}
}

func TestEnroll(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	a := newMachine(t, agentA)
	request := a.request(t, secret, origin)
	response, err := f.enroll(t, request)
	check(t, err)
	if len(response.GetCertificates()) != 3 || !bytes.Equal(response.GetCertificates()[1], f.authority.Issuer().Raw) ||
		!bytes.Equal(response.GetCertificates()[2], f.authority.Certificate().Raw) {
		t.Fatalf("the answer has %d certificates, want the agent's, the intermediate's and the root's", len(response.GetCertificates()))
	}
	cert, err := x509.ParseCertificate(response.GetCertificates()[0])
	check(t, err)
	if role, err := identity.RoleOf(cert); err != nil || role != identity.AgentRole("acme", agentA) || !a.key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("the certificate is of %v, %v, its key is the machine's: %t", role, err, a.key.PublicKey.Equal(cert.PublicKey))
	}
	if response.GetServerKey() != string(serverKey) {
		t.Errorf("the server's key is %s, want %s", response.GetServerKey(), serverKey)
	}
	if got := f.assigner.requests[origin]; !bytes.Equal(got.Note, request.GetAssignRequest()) {
		t.Errorf("the log has %q, want the agent's own request", got.Note)
	}
	got, err := f.registry.Agent("acme", agentA)
	check(t, err)
	want := registry.Agent{
		Tenant: "acme", Name: agentA, HostName: "nas-a", Version: "1.0", Platform: "linux/amd64",
		KeyHash: identity.KeyHash(cert), CertificateEnd: cert.NotAfter, EnrolledAt: got.EnrolledAt,
	}
	if got != want {
		t.Errorf("Agent = %+v, want %+v", got, want)
	}

	// The same keys have the same answer, though the certificate request is signed afresh.
	again, err := f.enroll(t, a.request(t, secret, origin))
	check(t, err)
	again.ServerTime = response.GetServerTime()
	if !proto.Equal(again, response) || f.assigner.appended != 1 {
		t.Errorf("the second answer differs, or %d entries were appended", f.assigner.appended)
	}
}

func TestTokensAreGoodOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	a, b := newMachine(t, agentA), newMachine(t, agentB)
	_, err := f.enroll(t, a.request(t, join.NewSecret(), origin))
	wantReason(t, "an unknown secret", err, codes.Unauthenticated, wire.ReasonTokenInvalid)
	_, err = f.enroll(t, &backupv1.EnrollRequest{})
	wantReason(t, "no secret", err, codes.Unauthenticated, wire.ReasonTokenInvalid)
	unknown := err
	_, err = f.enroll(t, a.request(t, secret, origin))
	check(t, err)
	_, err = f.enroll(t, b.request(t, secret, origin))
	wantReason(t, "a used secret", err, codes.Unauthenticated, wire.ReasonTokenInvalid)
	if err.Error() != unknown.Error() {
		t.Errorf("a used and an unknown secret are told apart: %v, %v", err, unknown)
	}
	// The one who was let in, but with another key for the log.
	rekeyed := *a
	rekeyed.signing = b.signing
	_, err = f.enroll(t, rekeyed.request(t, secret, origin))
	wantReason(t, "a used secret with another signing key", err, codes.Unauthenticated, wire.ReasonTokenInvalid)
	// The one who was let in, but with another key for TLS.
	rekeyed = *a
	rekeyed.key = b.key
	_, err = f.enroll(t, rekeyed.request(t, secret, origin))
	wantReason(t, "a used secret with another TLS key", err, codes.Unauthenticated, wire.ReasonTokenInvalid)
	if f.assigner.appended != 1 || f.assigner.requests[origin].AgentKey.Name() != origin.AgentKeyName(agentA) {
		t.Errorf("%d entries were appended, the last for %s", f.assigner.appended, f.assigner.requests[origin].AgentKey.Name())
	}
}

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, origin := f.newToken(t, "acme", "nas", time.Now().Add(-2*time.Hour), time.Hour)
	a := newMachine(t, agentA)
	_, err := f.enroll(t, a.request(t, secret, origin))
	wantReason(t, "an expired secret", err, codes.Unauthenticated, wire.ReasonTokenExpired)
	if len(f.assigner.requests) != 0 {
		t.Error("something was appended")
	}

	at := time.Now()
	secret, origin = f.newToken(t, "acme", "s3", at, time.Hour)
	_, err = f.service.enroll(t.Context(), a.request(t, secret, origin), at.Add(time.Hour))
	wantReason(t, "a secret at its end", err, codes.Unauthenticated, wire.ReasonTokenExpired)
	_, err = f.service.enroll(t.Context(), a.request(t, secret, origin), at.Add(time.Hour-1))
	check(t, err)
	// Who was let in has the answer also later.
	_, err = f.service.enroll(t.Context(), a.request(t, secret, origin), at.Add(2*time.Hour))
	check(t, err)
}

func TestRequestsHaveToAgreeWithTheSecret(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	_, foreign := f.newToken(t, "other", "nas", time.Now(), time.Hour)
	_, sibling := f.newToken(t, "acme", "s3", time.Now(), time.Hour)
	a, b := newMachine(t, agentA), newMachine(t, agentB)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	p384Request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: agentA}}, p384)
	check(t, err)
	for what, change := range map[string]func(*backupv1.EnrollRequest){
		"a certificate request for another name": func(m *backupv1.EnrollRequest) { m.CertificateRequest = a.certificateRequest(t, agentB) },
		"a certificate request for no name":      func(m *backupv1.EnrollRequest) { m.CertificateRequest = a.certificateRequest(t, "") },
		"a certificate request for the operator": func(m *backupv1.EnrollRequest) { m.CertificateRequest = a.certificateRequest(t, "operator") },
		"a certificate request on P-384":         func(m *backupv1.EnrollRequest) { m.CertificateRequest = p384Request },
		"a certificate request that was changed": func(m *backupv1.EnrollRequest) { flip(m.CertificateRequest, -1) },
		"a certificate request with more":        func(m *backupv1.EnrollRequest) { m.CertificateRequest = append(m.CertificateRequest, 0) },
		"no certificate request":                 func(m *backupv1.EnrollRequest) { m.CertificateRequest = nil },
		"a huge certificate request":             func(m *backupv1.EnrollRequest) { m.CertificateRequest = make([]byte, 1<<20) },
		"an assign request of another agent":     func(m *backupv1.EnrollRequest) { m.AssignRequest = b.assignRequest(t, origin, agentB) },
		"an assign request for another tenant":   func(m *backupv1.EnrollRequest) { m.AssignRequest = a.assignRequest(t, foreign, agentA) },
		"an assign request for a sibling":        func(m *backupv1.EnrollRequest) { m.AssignRequest = a.assignRequest(t, sibling, agentA) },
		"an assign request that was changed":     func(m *backupv1.EnrollRequest) { flip(m.AssignRequest, len(m.AssignRequest)-10) },
		"no assign request":                      func(m *backupv1.EnrollRequest) { m.AssignRequest = nil },
		"a host name with a line of its own":     func(m *backupv1.EnrollRequest) { m.HostName = "nas\nlevel=ERROR" },
		"a host name that moves the cursor":      func(m *backupv1.EnrollRequest) { m.HostName = "nas\x1b[2J" },
		"a version that is too long":             func(m *backupv1.EnrollRequest) { m.AgentVersion = strings.Repeat("1", maxTextBytes+1) },
	} {
		request := a.request(t, secret, origin)
		change(request)
		_, err := f.enroll(t, request)
		wantReason(t, what, err, codes.InvalidArgument, wire.ReasonBadRequest)
	}
	if agents, err := f.registry.Agents(""); err != nil || len(agents) != 0 || len(f.assigner.requests) != 0 {
		t.Errorf("let in: %+v, %v; assigned: %v", agents, err, f.assigner.requests)
	}
	// None of it used the token up.
	_, err = f.enroll(t, a.request(t, secret, origin))
	check(t, err)
}

func flip(b []byte, i int) {
	if i < 0 {
		i += len(b)
	}
	b[i] ^= 1
}

func TestSecondAgentIsRefusedByName(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	first, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	second, _ := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	_, err := f.enroll(t, newMachine(t, agentA).request(t, first, origin))
	check(t, err)
	_, err = f.enroll(t, newMachine(t, agentB).request(t, second, origin))
	wantReason(t, "a second agent", err, codes.AlreadyExists, wire.ReasonDestinationAssigned)
	if message := status.Convert(err).Message(); !strings.Contains(message, agentA) || !strings.Contains(message, "nas-a") {
		t.Errorf("the message %q names neither the agent nor its machine", message)
	}
	if f.assigner.appended != 1 {
		t.Errorf("%d entries were appended", f.assigner.appended)
	}
}

func TestAnAgentMayServeMore(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	a, b := newMachine(t, agentA), newMachine(t, agentB)
	response, err := f.enroll(t, a.request(t, secret, origin))
	check(t, err)
	certificate := a.certificate(response)
	operator, err := f.authority.NewOperator("first", time.Now())
	check(t, err)

	secret, origin = f.newToken(t, "acme", "s3", time.Now(), time.Hour)
	foreignSecret, foreign := f.newToken(t, "other", "nas", time.Now(), time.Hour)
	_, err = f.enroll(t, a.request(t, foreignSecret, foreign), certificate)
	wantReason(t, "a token of another tenant", err, codes.PermissionDenied, wire.ReasonOtherTenant)
	_, err = f.enroll(t, b.request(t, secret, origin), certificate)
	wantReason(t, "another name than the certificate's", err, codes.InvalidArgument, wire.ReasonBadRequest)
	impostor := *b
	impostor.name = agentA
	_, err = f.enroll(t, impostor.request(t, secret, origin), certificate)
	wantReason(t, "another key than the certificate's", err, codes.InvalidArgument, wire.ReasonBadRequest)
	_, err = f.enroll(t, impostor.request(t, secret, origin))
	wantReason(t, "the name of another agent", err, codes.AlreadyExists, wire.ReasonNameTaken)
	_, err = f.enroll(t, a.request(t, secret, origin), operator.Certificate)
	wantReason(t, "an operator", err, codes.PermissionDenied, wire.ReasonNotAllowed)

	_, err = f.enroll(t, a.request(t, secret, origin), certificate)
	check(t, err)
	if d, err := f.registry.DestinationOf(origin); err != nil || d.Agent != agentA {
		t.Errorf("the second destination is %+v, %v, want it served by %s", d, err, agentA)
	}
	if d, err := f.registry.DestinationOf(foreign); err != nil || d.Agent != "" {
		t.Errorf("the destination of the other tenant is %+v, %v, want nobody to serve it", d, err)
	}
}

// Whoever overhears a request can repeat it, and gains a certificate for a key that he does not have.
func TestReplayedRequestGainsNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	a, thief := newMachine(t, agentA), newMachine(t, agentB)
	request := a.request(t, secret, origin)
	response, err := f.enroll(t, request)
	check(t, err)
	replayed, err := f.enroll(t, request)
	check(t, err)
	replayed.ServerTime = response.GetServerTime()
	if !proto.Equal(replayed, response) || f.assigner.appended != 1 {
		t.Error("the replayed request had another answer, or another entry")
	}
	changed := proto.CloneOf(request)
	changed.CertificateRequest = thief.certificateRequest(t, agentA)
	_, err = f.enroll(t, changed)
	wantReason(t, "a replayed request with another key", err, codes.Unauthenticated, wire.ReasonTokenInvalid)
	changed = proto.CloneOf(request)
	unknown := join.NewSecret()
	changed.Secret = unknown[:]
	_, err = f.enroll(t, changed)
	wantReason(t, "a replayed request with another secret", err, codes.Unauthenticated, wire.ReasonTokenInvalid)
}

func TestOneOfManyEnrolls(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	const callers = 12
	requests := make([]*backupv1.EnrollRequest, callers)
	for i := range requests {
		requests[i] = newMachine(t, fmt.Sprintf("%016x", i)).request(t, secret, origin)
	}
	errs := make([]error, callers)
	var group sync.WaitGroup
	for i, request := range requests {
		group.Go(func() { _, errs[i] = f.enroll(t, request) })
	}
	group.Wait()
	winner := -1
	for i, err := range errs {
		if err != nil {
			wantReason(t, fmt.Sprintf("caller %d", i), err, codes.Unauthenticated, wire.ReasonTokenInvalid)
			continue
		}
		if winner >= 0 {
			t.Errorf("callers %d and %d were both let in", winner, i)
		}
		winner = i
	}
	if winner < 0 || f.assigner.appended != 1 {
		t.Fatalf("caller %d was let in, %d entries were appended", winner, f.assigner.appended)
	}
	if got := f.assigner.requests[origin].AgentKey.Name(); got != origin.AgentKeyName(fmt.Sprintf("%016x", winner)) {
		t.Errorf("caller %d was let in, the log has %s", winner, got)
	}
}

// The server stops between redeeming and appending, or between appending and answering.
func TestWhatWasCutOffGoesOn(t *testing.T) {
	t.Parallel()
	for _, done := range []bool{false, true} {
		f := newFleet(t)
		secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
		a, b := newMachine(t, agentA), newMachine(t, agentB)
		f.assigner.fail, f.assigner.failDone = errors.New("the disk is full"), done
		_, err := f.enroll(t, a.request(t, secret, origin))
		wantReason(t, "a log that cannot be written", err, codes.Unavailable, wire.ReasonTryLater)
		if after, ok := wire.RetryAfter(err); !ok || after != retryAfter || strings.Contains(err.Error(), "disk") {
			t.Errorf("%v says %v, %t when to come back", err, after, ok)
		}
		_, err = f.enroll(t, b.request(t, secret, origin))
		wantReason(t, "somebody else in between", err, codes.Unauthenticated, wire.ReasonTokenInvalid)
		// A new service over the same registry, as after a crash.
		again := New(f.registry, f.authority, f.assigner, f.service.log)
		_, err = again.enroll(t.Context(), a.request(t, secret, origin), time.Now())
		check(t, err)
		if f.assigner.appended != 1 || f.assigner.requests[origin].AgentKey.Name() != origin.AgentKeyName(agentA) {
			t.Errorf("done %t: %d entries were appended: %v", done, f.assigner.appended, f.assigner.requests)
		}
	}
}
