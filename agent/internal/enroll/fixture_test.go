package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/ledger"
)

const logPrefix = "wolkvox.com/backup/"

var at = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeServer is the other side as the protocol has it: it lets in once per secret, gives the same keys the same answer,
// and checks what agents send. Hooks make it fail, or lose or change its answers.
type fakeServer struct {
	backupv1.UnimplementedEnrollmentServiceServer
	t         *testing.T
	authority *identity.Authority
	at        time.Time
	address   string

	mu       sync.Mutex
	answers  map[string]answer                             // by secret
	renewed  map[string]*backupv1.RenewCertificateResponse // by public key
	refuse   error                                         // answered in place of anything else
	lose     bool                                          // let in, but let the answer get lost
	change   func(*backupv1.EnrollResponse)
	requests []*backupv1.EnrollRequest
	roles    []identity.Role // of those who asked; zero where they showed no certificate
}

type answer struct {
	name     string
	tls      string
	assign   string
	response *backupv1.EnrollResponse
}

func newServer(t *testing.T) *fakeServer {
	t.Helper()
	authority, err := identity.NewAuthority(at)
	check(t, err)
	return newServerOf(t, authority)
}

func newServerOf(t *testing.T, authority *identity.Authority) *fakeServer {
	t.Helper()
	s := &fakeServer{t: t, authority: authority, at: at, answers: make(map[string]answer), renewed: make(map[string]*backupv1.RenewCertificateResponse)}
	s.address = s.serve(t, authority, []string{"127.0.0.1"})
	return s
}

// serve starts the service with a certificate of the authority, and returns its address.
func (s *fakeServer) serve(t *testing.T, authority *identity.Authority, hosts []string) string {
	t.Helper()
	cert, err := authority.ServerCertificate(t.TempDir(), hosts, at)
	check(t, err)
	server := grpc.NewServer(grpc.Creds(authority.ServerCredentials(func() tls.Certificate { return cert }, func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.at
	})))
	backupv1.RegisterEnrollmentServiceServer(server, s)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	return listener.Addr().String()
}

func (s *fakeServer) Enroll(ctx context.Context, m *backupv1.EnrollRequest) (*backupv1.EnrollResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	role, err := identity.RoleFromContext(ctx)
	if err != nil && !errors.Is(err, identity.ErrNoCertificate) {
		return nil, err
	}
	s.roles, s.requests = append(s.roles, role), append(s.requests, m)
	if s.refuse != nil {
		return nil, s.refuse
	}
	csr, err := x509.ParseCertificateRequest(m.GetCertificateRequest())
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	assign, err := ledger.ParseRequest(m.GetAssignRequest())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if assign.AgentKey.Name() != assign.Origin.AgentKeyName(csr.Subject.CommonName) {
		return nil, status.Error(codes.InvalidArgument, "the names differ")
	}
	a, known := s.answers[string(m.GetSecret())]
	if !known {
		cert, err := s.authority.IssueAgent(csr.PublicKey, assign.Origin.Tenant(), csr.Subject.CommonName, s.at)
		if err != nil {
			return nil, err
		}
		a = answer{csr.Subject.CommonName, string(csr.RawSubjectPublicKeyInfo), string(m.GetAssignRequest()), &backupv1.EnrollResponse{
			Certificates: s.authority.ChainOf(cert),
			ServerKey:    string(serverKey(s.t, assign.Origin)),
		}}
		s.answers[string(m.GetSecret())] = a
	}
	if a.name != csr.Subject.CommonName || a.tls != string(csr.RawSubjectPublicKeyInfo) || a.assign != string(m.GetAssignRequest()) {
		return nil, status.Error(codes.Unauthenticated, "asked again with other keys")
	}
	if s.lose {
		s.lose = false
		return nil, status.Error(codes.Unavailable, "the answer got lost")
	}
	if s.change != nil {
		s.change(a.response)
	}
	return a.response, nil
}

func serverKey(t *testing.T, origin ledger.Origin) ledger.Verifier {
	t.Helper()
	key, err := ledger.NewSigningKey(string(origin), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	check(t, err)
	return key.Verifier()
}

// newJoin makes a join string for TENANT/DESTINATION with a secret of its own.
func (s *fakeServer) newJoin(t *testing.T, place string) join.Join {
	t.Helper()
	return join.Join{
		Server: s.address, Pin: s.authority.Pin(), Secret: join.NewSecret(), ExpireTime: at.Add(time.Hour),
		Origin: ledger.Origin(logPrefix + place + "/" + strings.Repeat("0", 32)),
	}
}

func dial(_ context.Context, address string, config *tls.Config) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
}

func options(t *testing.T, stateDir string, j join.Join) Options {
	t.Helper()
	s, err := j.Format()
	check(t, err)
	return Options{StateDir: stateDir, Join: s, HostName: "nas", Version: "1.0", Platform: "linux/amd64", At: at, Dial: dial}
}

// contents returns what every file below a folder holds.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	check(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	}))
	return files
}

func keyOf(t *testing.T, id *Identity) *ecdsa.PrivateKey {
	t.Helper()
	key, ok := id.Credential.Certificate.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("the key is a %T", id.Credential.Certificate.PrivateKey)
	}
	return key
}
