package enroll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
)

const (
	agentA = "aaaaaaaaaaaaaaaa"
	agentB = "bbbbbbbbbbbbbbbb"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// memoryAssigner keeps the last request of each log. Before it does, or after, the next call can be made to fail.
type memoryAssigner struct {
	mu       sync.Mutex
	requests map[ledger.Origin]ledger.Request
	appended int
	replaced []string // the agents whose place was taken, by call
	fail     error    // taken by the next call
	failDone bool     // whether that call appends nevertheless
}

const serverKey = ledger.Verifier("the first server key of the log")

func (m *memoryAssigner) Assign(_ context.Context, origin ledger.Origin, request ledger.Request, replaces string) (ledger.Verifier, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fail, done := m.fail, m.failDone
	m.fail = nil
	if fail != nil && !done {
		return "", fail
	}
	if request.Origin != origin {
		return "", fmt.Errorf("a request for %s is appended to %s", request.Origin, origin)
	}
	m.replaced = append(m.replaced, replaces)
	if !bytes.Equal(m.requests[origin].Note, request.Note) {
		m.requests[origin] = request
		m.appended++
	}
	return serverKey, fail
}

// fleet is a server with tenants acme and other, over loopback.
type fleet struct {
	registry  *registry.Registry
	authority *identity.Authority
	assigner  *memoryAssigner
	service   *Service
	address   string
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	r, err := registry.Open(t.TempDir(), log)
	check(t, err)
	t.Cleanup(func() { check(t, r.Close()) })
	for _, name := range []string{"acme", "other"} {
		check(t, r.CreateTenant(registry.Tenant{Name: name, TimeZone: "UTC"}))
	}
	authority, err := identity.NewAuthority(time.Now())
	check(t, err)
	cert, err := authority.ServerCertificate(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	check(t, err)
	assigner := &memoryAssigner{requests: make(map[ledger.Origin]ledger.Request)}
	f := &fleet{r, authority, assigner, New(r, authority, assigner, log), ""}
	server := grpc.NewServer(grpc.Creds(authority.ServerCredentials(func() tls.Certificate { return cert }, time.Now)))
	backupv1.RegisterEnrollmentServiceServer(server, f.service)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	f.address = listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	return f
}

// newToken makes a token for a destination, which it makes where it does not exist.
func (f *fleet) newToken(t *testing.T, tenant, name string, at time.Time, lifetime time.Duration) (join.Secret, ledger.Origin) {
	t.Helper()
	d, err := f.registry.Destination(tenant, name)
	if err != nil {
		d, err = f.registry.CreateDestination(tenant, name, backup.StorageRSYNC, at)
		check(t, err)
	}
	secret := join.NewSecret()
	check(t, f.registry.CreateToken(secret.Hash(), d.Origin, at.Add(lifetime), at))
	return secret, d.Origin
}

// enroll calls the server over TLS, with a certificate where one is given.
func (f *fleet) enroll(t *testing.T, request *backupv1.EnrollRequest, own ...tls.Certificate) (*backupv1.EnrollResponse, error) {
	t.Helper()
	config := identity.EnrollingConfig("127.0.0.1", f.authority.Pin(), time.Now, own...)
	conn, err := grpc.NewClient("passthrough:///"+f.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	check(t, err)
	defer conn.Close()
	return backupv1.NewEnrollmentServiceClient(conn).Enroll(t.Context(), request)
}

// machine is the other side: keys, and requests made of them.
type machine struct {
	name    string
	key     *ecdsa.PrivateKey
	signing ed25519.PrivateKey
}

func newMachine(t *testing.T, name string) *machine {
	t.Helper()
	key, err := identity.NewKey()
	check(t, err)
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	return &machine{name, key, signing}
}

func (m *machine) certificateRequest(t *testing.T, commonName string) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName}}, m.key)
	check(t, err)
	return der
}

// assignRequest asks for a log, under the key name of an agent for the log named.
func (m *machine) assignRequest(t *testing.T, origin ledger.Origin, agent string) []byte {
	t.Helper()
	key, err := ledger.NewSigningKey(origin.AgentKeyName(agent), m.signing)
	check(t, err)
	request, err := ledger.SignRequest(origin, key)
	check(t, err)
	return request.Note
}

func (m *machine) request(t *testing.T, secret join.Secret, origin ledger.Origin) *backupv1.EnrollRequest {
	t.Helper()
	return &backupv1.EnrollRequest{
		Secret:             secret[:],
		CertificateRequest: m.certificateRequest(t, m.name),
		AssignRequest:      m.assignRequest(t, origin, m.name),
		HostName:           "nas-" + m.name[:1],
		AgentVersion:       "1.0",
		Platform:           "linux/amd64",
	}
}

// certificate is what the machine can show after an answer.
func (m *machine) certificate(response *backupv1.EnrollResponse) tls.Certificate {
	return tls.Certificate{Certificate: response.GetCertificates()[:1], PrivateKey: m.key}
}
