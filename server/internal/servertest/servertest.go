// Package servertest is the inside of a server for the tests of its parts: a registry, a store, a tenant with a source in a
// temporary directory and a destination, an authority, and connections that show certificates. It is imported by tests only.
package servertest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/evidence"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/source"
)

// Names of what a new server has.
const (
	Tenant      = "acme"
	Source      = "main"
	Destination = "nas"
	Agent       = "aaaaaaaaaaaaaaaa"
	Quiet       = time.Minute
)

// Server is the inside of a server.
type Server struct {
	t          testing.TB
	Registry   *registry.Registry
	DB         *store.DB
	Sequencers *sequencer.Set
	Sealer     *sealer.Sealer
	Authority  *identity.Authority
	Directory  string // of the source
	Origin     ledger.Origin
	Guard      *authz.Guard                               // of what Serve serves
	Fault      func(point string) (apply bool, err error) // see store.Options; nil for none
	state      string
	created    time.Time
}

// New makes a server whose tenant lives in zone and whose destination was created at the instant created.
func New(t testing.TB, zone string, kind backup.StorageKind, created time.Time) *Server {
	t.Helper()
	s := &Server{t: t, Guard: &authz.Guard{}, Directory: t.TempDir(), state: t.TempDir(), created: created}
	s.open()
	s.Must(s.Registry.CreateTenant(registry.Tenant{Name: Tenant, TimeZone: zone, Quiet: Quiet}))
	s.AddSource(Source, s.Directory)
	s.Origin = s.AddDestination(Destination, kind)
	authority, err := identity.NewAuthority(time.Now())
	s.Must(err)
	s.Authority = authority
	t.Cleanup(s.close)
	return s
}

// Must ends the test where err is not nil.
func (s *Server) Must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) open() {
	s.t.Helper()
	var err error
	s.Registry, err = registry.Open(filepath.Join(s.state, "registry"), slog.New(slog.DiscardHandler))
	s.Must(err)
	s.DB, err = store.Open(filepath.Join(s.state, "ledgers"), store.Options{Fault: func(point string) (bool, error) {
		if s.Fault == nil {
			return true, nil
		}
		return s.Fault(point)
	}})
	s.Must(err)
	s.Sequencers, err = sequencer.OpenSet(context.Background(), s.DB, sequencer.Options{
		Registry: s.Registry, Evidence: evidence.NewFolder(s.EvidenceDir()), Dir: filepath.Join(s.state, "offers"),
	}, s.created)
	s.Must(err)
	s.Sealer = sealer.New(s.Registry, s.Sequencers, sealer.Options{})
}

func (s *Server) close() {
	if err := s.DB.Close(); err != nil {
		s.t.Error(err)
	}
	if err := s.Registry.Close(); err != nil {
		s.t.Error(err)
	}
}

// EvidenceDir returns where what is cut off a log is kept.
func (s *Server) EvidenceDir() string { return filepath.Join(s.state, "evidence") }

// Restart closes what is open and opens it again.
func (s *Server) Restart() {
	s.t.Helper()
	s.close()
	s.open()
}

// AddSource registers a directory.
func (s *Server) AddSource(name, directory string) {
	s.t.Helper()
	proof, err := source.Mark(directory)
	s.Must(err)
	s.Must(s.Registry.CreateSource(registry.Source{Tenant: Tenant, Name: name, Directory: directory, MarkerID: proof.MarkerID}))
}

// AddDestination creates a destination and returns its log's origin.
func (s *Server) AddDestination(name string, kind backup.StorageKind) ledger.Origin {
	s.t.Helper()
	d, err := s.Registry.CreateDestination(Tenant, name, kind, s.created)
	s.Must(err)
	_, err = s.Sequencers.Add(context.Background(), d, s.created)
	s.Must(err)
	return d.Origin
}

// Sequencer returns that of the first destination.
func (s *Server) Sequencer() *sequencer.Sequencer {
	s.t.Helper()
	seq, ok := s.Sequencers.Of(s.Origin)
	if !ok {
		s.t.Fatalf("the log %s is not open", s.Origin)
	}
	return seq
}

// Write writes a file below the source, last modified at the instant modified.
func (s *Server) Write(path, contents string, modified time.Time) {
	s.t.Helper()
	name := filepath.Join(s.Directory, path)
	s.Must(os.MkdirAll(filepath.Dir(name), 0o700))
	s.Must(os.WriteFile(name, []byte(contents), 0o600))
	s.Must(os.Chtimes(name, modified, modified))
}

// Look looks twice, the last time at the instant at, and returns the results for the destinations.
func (s *Server) Look(scheduled bool, at time.Time) []sealer.Result {
	s.t.Helper()
	_, err := s.Sealer.Look(s.t.Context(), Tenant, "", scheduled, at.Add(-2*Quiet))
	s.Must(err)
	results, err := s.Sealer.Look(s.t.Context(), Tenant, "", scheduled, at)
	s.Must(err)
	return results
}

// Enroll lets the agent in, assigns the first destination to it, and returns the agent's key.
func (s *Server) Enroll() *ledger.SigningKey {
	s.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	s.Must(err)
	key, err := ledger.NewSigningKey(s.Origin.AgentKeyName(Agent), private)
	s.Must(err)
	secret := sha256.Sum256([]byte(s.Origin))
	s.Must(s.Registry.CreateToken(secret, s.Origin, s.created.Add(time.Hour), s.created))
	_, err = s.Registry.Redeem(secret, registry.Applicant{Agent: registry.Agent{Tenant: Tenant, Name: Agent}, AgentKey: key.Verifier()}, s.created)
	s.Must(err)
	request, err := ledger.SignRequest(s.Origin, key)
	s.Must(err)
	s.Must(s.Sequencer().Assign(context.Background(), request, "", s.created))
	return key
}

// Serve serves what register registers, guarded by the table of package authz, until the test ends, and returns the
// address.
func (s *Server) Serve(register func(*grpc.Server), options ...grpc.ServerOption) string {
	s.t.Helper()
	cert, err := s.Authority.ServerCertificate(s.state, []string{"127.0.0.1"}, time.Now())
	s.Must(err)
	server := grpc.NewServer(append(options,
		grpc.Creds(s.Authority.ServerCredentials(func() tls.Certificate { return cert }, time.Now)),
		grpc.UnaryInterceptor(s.Guard.Unary), grpc.StreamInterceptor(s.Guard.Stream))...)
	register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.Must(err)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	s.t.Cleanup(func() {
		server.Stop()
		s.Guard.Wait()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	return listener.Addr().String()
}

// Dial connects as the holder of a role; without a certificate where role is the zero Role.
func (s *Server) Dial(address string, role identity.Role) *grpc.ClientConn {
	s.t.Helper()
	config := identity.ClientConfig(identity.Credential{Authority: s.Authority.Certificate()}, "127.0.0.1", time.Now)
	config.Certificates = nil
	if role != (identity.Role{}) {
		config.Certificates = []tls.Certificate{s.certificate(role)}
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	s.Must(err)
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

func (s *Server) certificate(role identity.Role) tls.Certificate {
	s.t.Helper()
	key, err := identity.NewKey()
	s.Must(err)
	issue := func() (*x509.Certificate, error) { return s.Authority.IssuePerson(key.Public(), role, time.Now()) }
	if role.Kind == identity.KindAgent {
		issue = func() (*x509.Certificate, error) {
			return s.Authority.IssueAgent(key.Public(), role.Tenant, role.Name, time.Now())
		}
	}
	cert, err := issue()
	s.Must(err)
	return tls.Certificate{Certificate: s.Authority.ChainOf(cert), PrivateKey: key, Leaf: cert}
}
