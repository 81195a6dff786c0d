package adminrpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// revoked notes who was revoked.
type revoked []string

func (r *revoked) RevokeTenant(tenant string)       { *r = append(*r, tenant) }
func (r *revoked) RevokeCertificate(serial string)  { *r = append(*r, serial) }
func (r *revoked) RevokeAgent(tenant, agent string) { *r = append(*r, tenant+"/"+agent) }

type noLocalActs struct{}

func (noLocalActs) TakeIn(context.Context) error { return nil }

// newPeople returns a service for people only, with the tenant acme, and the context of an operator's call.
func newPeople(t *testing.T) (*Service, *revoked, context.Context) {
	t.Helper()
	r, err := registry.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := r.CreateTenant(registry.Tenant{Name: "acme", TimeZone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	authority, err := identity.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	operator, err := authority.NewOperator("maria", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ctx := peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{
		State: tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{operator.Certificate.Leaf}}},
	}})
	gone := &revoked{}
	return &Service{
		Registry: r, Authority: authority.Certificate(), Issuer: authority, Revoker: gone, LocalActs: noLocalActs{}, Logger: slog.New(slog.DiscardHandler),
	}, gone, ctx
}

func newRequest(t *testing.T, curve elliptic.Curve) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"ignored.example.com"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestIssueCredential(t *testing.T) {
	t.Parallel()
	s, _, ctx := newPeople(t)
	for _, role := range []identity.Role{identity.ClientRole("acme", "ana"), identity.AuditorRole("acme", "ana"), identity.OperatorRole("ana")} {
		req := &backupv1.IssueCredentialRequest{Tenant: role.Tenant, Name: role.Name, CertificateRequest: newRequest(t, elliptic.P256())}
		for kind, of := range kinds {
			if of == role.Kind {
				req.Kind = kind
			}
		}
		res, err := s.IssueCredential(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(res.GetCertificates()[0])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := identity.RoleOf(cert); err != nil || got != role || cert.CheckSignatureFrom(s.Issuer.Issuer()) != nil {
			t.Errorf("the certificate is of %v, %v, want %v", got, err, role)
		}
		c := res.GetCredential()
		if c.GetSerial() != identity.Serial(cert) || c.GetKind() != req.GetKind() || c.GetIssuedBy() != "wolkvox://role/operator/maria" ||
			!c.GetExpireTime().AsTime().Equal(cert.NotAfter) || c.GetRevokeTime() != nil {
			t.Errorf("what was kept is %v", c)
		}
		if last := res.GetCertificates()[len(res.GetCertificates())-1]; !slices.Equal(last, s.Authority.Raw) {
			t.Error("the chain does not end with the authority")
		}
	}
}

func TestIssueCredentialRefuses(t *testing.T) {
	t.Parallel()
	s, _, ctx := newPeople(t)
	good := newRequest(t, elliptic.P256())
	changed := slices.Clone(good)
	changed[len(changed)-1] ^= 1
	const client, operator = backupv1.RoleKind_ROLE_KIND_CLIENT, backupv1.RoleKind_ROLE_KIND_OPERATOR
	for what, c := range map[string]struct {
		req    *backupv1.IssueCredentialRequest
		code   codes.Code
		reason string
	}{
		"no role":                    {&backupv1.IssueCredentialRequest{Tenant: "acme", Name: "ana", CertificateRequest: good}, codes.InvalidArgument, wire.ReasonBadRequest},
		"an unknown role":            {&backupv1.IssueCredentialRequest{Kind: 99, Name: "ana", CertificateRequest: good}, codes.InvalidArgument, wire.ReasonBadRequest},
		"an operator of a tenant":    {&backupv1.IssueCredentialRequest{Kind: operator, Tenant: "acme", Name: "ana", CertificateRequest: good}, codes.InvalidArgument, wire.ReasonBadRequest},
		"a client of none":           {&backupv1.IssueCredentialRequest{Kind: client, Name: "ana", CertificateRequest: good}, codes.InvalidArgument, wire.ReasonBadRequest},
		"a client of an unknown one": {&backupv1.IssueCredentialRequest{Kind: client, Tenant: "nobody", Name: "ana", CertificateRequest: good}, codes.NotFound, wire.ReasonNoTenant},
		"no name":                    {&backupv1.IssueCredentialRequest{Kind: operator, CertificateRequest: good}, codes.InvalidArgument, wire.ReasonBadName},
		"a name that is none":        {&backupv1.IssueCredentialRequest{Kind: client, Tenant: "acme", Name: "../x", CertificateRequest: good}, codes.InvalidArgument, wire.ReasonBadName},
		"no key":                     {&backupv1.IssueCredentialRequest{Kind: operator, Name: "ana"}, codes.InvalidArgument, wire.ReasonBadRequest},
		"a key on another curve":     {&backupv1.IssueCredentialRequest{Kind: operator, Name: "ana", CertificateRequest: newRequest(t, elliptic.P384())}, codes.InvalidArgument, wire.ReasonBadRequest},
		"somebody else's key":        {&backupv1.IssueCredentialRequest{Kind: operator, Name: "ana", CertificateRequest: changed}, codes.InvalidArgument, wire.ReasonBadRequest},
		"a huge request":             {&backupv1.IssueCredentialRequest{Kind: operator, Name: "ana", CertificateRequest: make([]byte, 1<<20)}, codes.InvalidArgument, wire.ReasonBadRequest},
	} {
		if res, err := s.IssueCredential(ctx, c.req); status.Code(err) != c.code || wire.Reason(err) != c.reason || res != nil {
			t.Errorf("%s: %v, %v, want %v %s", what, res, err, c.code, c.reason)
		}
	}
	if all, err := s.ListCredentials(ctx, &backupv1.ListCredentialsRequest{}); err != nil || len(all.GetCredentials()) != 0 {
		t.Errorf("kept are %v, %v", all, err)
	}
}

func TestRevokeCredential(t *testing.T) {
	t.Parallel()
	s, gone, ctx := newPeople(t)
	issued, err := s.IssueCredential(ctx, &backupv1.IssueCredentialRequest{Kind: backupv1.RoleKind_ROLE_KIND_AUDITOR, Tenant: "acme", Name: "ben", CertificateRequest: newRequest(t, elliptic.P256())})
	if err != nil {
		t.Fatal(err)
	}
	serial := issued.GetCredential().GetSerial()
	for _, other := range []string{"", "ab", strings.ToUpper(serial), serial + "0"} {
		if _, err := s.RevokeCredential(ctx, &backupv1.RevokeCredentialRequest{Serial: other}); wire.Reason(err) != wire.ReasonNoCredential {
			t.Errorf("revoke %q: %v", other, err)
		}
	}
	if len(*gone) != 0 {
		t.Errorf("revoked %q", *gone)
	}
	res, err := s.RevokeCredential(ctx, &backupv1.RevokeCredentialRequest{Serial: serial})
	if err != nil || res.GetCredential().GetRevokeTime() == nil || !slices.Equal(*gone, []string{serial}) {
		t.Errorf("revoke %s: %v, %v, revoked %q", serial, res, err, *gone)
	}
}

// recordPages gathers what a stream sends.
type recordPages struct {
	grpc.ServerStream
	ctx     context.Context
	numbers []int64
	sizes   []int
}

func (p *recordPages) Context() context.Context { return p.ctx }

func (p *recordPages) Send(m *backupv1.ReadAdminLogResponse) error {
	for _, r := range m.GetRecords() {
		p.numbers = append(p.numbers, r.GetNumber())
	}
	p.sizes = append(p.sizes, len(m.GetRecords()))
	return nil
}

func TestReadAdminLogInPages(t *testing.T) {
	t.Parallel()
	s, _, ctx := newPeople(t)
	const count = 600
	for i := range count {
		a := registry.Act{Time: time.Now(), Who: "local", Act: "x", Subject: strings.Repeat("x", 4<<10), Outcome: registry.OutcomeOK, Tenant: []string{"acme", "other"}[i%2]}
		if err := s.Registry.TakeIn(time.Now().String(), a, nil); err != nil {
			t.Fatal(err)
		}
	}
	p := &recordPages{ctx: ctx}
	if err := s.ReadAdminLog(&backupv1.ReadAdminLogRequest{}, p); err != nil {
		t.Fatal(err)
	}
	if len(p.numbers) != count || p.numbers[0] != 1 || p.numbers[count-1] != count || len(p.sizes) < 3 || slices.Max(p.sizes) > 255 {
		t.Errorf("%d records in pages of %v", len(p.numbers), p.sizes)
	}
	p = &recordPages{ctx: ctx}
	if err := s.ReadAdminLog(&backupv1.ReadAdminLogRequest{Tenant: "acme", AfterNumber: 590}, p); err != nil || !slices.Equal(p.numbers, []int64{591, 593, 595, 597, 599}) {
		t.Errorf("acme after 590: %v, %v", p.numbers, err)
	}
}
