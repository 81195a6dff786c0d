package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/enroll"
	"github.com/wolkvox/backup/agent/internal/uplink"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/size"
	"github.com/wolkvox/backup/internal/wire"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func originOf(destination string) ledger.Origin {
	return ledger.Origin("wolkvox.com/backup/acme/" + destination + "/" + strings.Repeat("0", 32))
}

// fakeServer lets every agent in, has empty logs, and takes heartbeats.
type fakeServer struct {
	backupv1.UnimplementedEnrollmentServiceServer
	backupv1.UnimplementedLedgerServiceServer
	backupv1.UnimplementedHeartbeatServiceServer
	authority *identity.Authority
	address   string
	watched   chan error // what the next watch is answered; it stays open where that is nil
	begun     bool       // whether the logs have their first two entries, or none

	mu       sync.Mutex
	first    [][]byte            // the first two entries of the log of the last that was let in
	age      time.Duration       // of the certificates that enrolling gives
	inUse    [sha256.Size]byte   // the key hash of the certificate that the agent shows
	given    [sha256.Size]byte   // of the one that it was given
	renewed  int                 // how often it was given one
	replaced int                 // calls with a certificate that was replaced
	refuse   bool                // the next certificate is refused
	certs    []*x509.Certificate // that heartbeats were taken with
	beats    []*backupv1.HeartbeatRequest
	heard    chan struct{} // closed and replaced at each heartbeat
}

func newServer(t testing.TB) *fakeServer {
	t.Helper()
	authority, err := identity.NewAuthority(time.Now())
	check(t, err)
	cert, err := authority.ServerCertificate(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	s := &fakeServer{authority: authority, address: listener.Addr().String(), watched: make(chan error, 1), heard: make(chan struct{})}
	server := grpc.NewServer(grpc.WaitForHandlers(true), grpc.Creds(authority.ServerCredentials(func() tls.Certificate { return cert }, time.Now)))
	backupv1.RegisterEnrollmentServiceServer(server, s)
	backupv1.RegisterLedgerServiceServer(server, s)
	backupv1.RegisterHeartbeatServiceServer(server, s)
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	return s
}

func (s *fakeServer) Enroll(_ context.Context, m *backupv1.EnrollRequest) (*backupv1.EnrollResponse, error) {
	csr, err := x509.ParseCertificateRequest(m.GetCertificateRequest())
	if err != nil {
		return nil, err
	}
	assign, err := ledger.ParseRequest(m.GetAssignRequest())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	cert, err := s.authority.IssueAgent(csr.PublicKey, assign.Origin.Tenant(), csr.Subject.CommonName, time.Now().Add(-s.age))
	if err != nil {
		return nil, err
	}
	s.inUse = identity.KeyHash(cert)
	key, err := ledger.NewSigningKey(string(assign.Origin), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		return nil, err
	}
	if s.first, err = firstEntries(key, assign); err != nil {
		return nil, err
	}
	return &backupv1.EnrollResponse{Certificates: s.authority.ChainOf(cert), ServerKey: string(key.Verifier())}, nil
}

// firstEntries begins a log.
func firstEntries(key *ledger.SigningKey, assign ledger.Request) ([][]byte, error) {
	var leaves [][]byte
	for _, body := range []ledger.Body{
		ledger.Genesis{Storage: backup.StorageRSYNC, WindowDays: 15, ServerKey: key.Verifier()}, ledger.Assigned{Request: assign},
	} {
		leaf, err := ledger.Sign(ledger.Entry{Origin: assign.Origin, Time: time.Now().UTC().Truncate(time.Second), Body: body}, key)
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, leaf)
	}
	return leaves, nil
}

// batch returns the entries after those that the agent holds.
func (s *fakeServer) batch(origin ledger.Origin, after int64) (*backupv1.EntryBatch, error) {
	key, err := ledger.NewSigningKey(string(origin), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		return nil, err
	}
	var tree ledger.Frontier
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, leaf := range s.first {
		tree.Add(ledger.LineHash(leaf))
	}
	head, err := ledger.SignHead(ledger.Head{Origin: origin, Size: int64(len(s.first)), Root: tree.Root()}, key)
	return &backupv1.EntryBatch{AfterSequence: after, Entries: s.first[min(after, int64(len(s.first))):], Head: head}, err
}

func (s *fakeServer) WatchLedger(m *backupv1.WatchLedgerRequest, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	if _, err := s.admit(stream.Context(), false); err != nil {
		return err
	}
	opened := &backupv1.SessionOpened{SessionNumber: 1, ServerTime: timestamppb.Now()}
	if s.begun {
		opened.Size = 2
	}
	if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Opened{Opened: opened}}); err != nil {
		return err
	}
	if s.begun {
		batch, err := s.batch(ledger.Origin(m.GetOrigin()), m.GetPosition().GetSize())
		if err != nil {
			return err
		}
		if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Batch{Batch: batch}}); err != nil {
			return err
		}
	}
	select {
	case err := <-s.watched:
		return err
	case <-stream.Context().Done():
		return nil
	}
}

// admit judges the certificate of a caller as a server does: the next one comes in use, and the one before is refused.
func (s *fakeServer) admit(ctx context.Context, afterEnd bool) (*x509.Certificate, error) {
	cert, err := identity.CertificateFromContext(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := identity.KeyHash(cert)
	switch {
	case hash == s.given && s.refuse:
		return nil, wire.Error(codes.PermissionDenied, wire.ReasonRevoked, "no")
	case hash == s.given:
		s.inUse = s.given
	case hash != s.inUse:
		s.replaced++
		return nil, wire.Error(codes.PermissionDenied, wire.ReasonRevoked, "it was replaced")
	}
	if identity.Ended(cert, time.Now()) && !afterEnd {
		return nil, wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "it ended")
	}
	return cert, nil
}

func (s *fakeServer) RenewCertificate(ctx context.Context, m *backupv1.RenewCertificateRequest) (*backupv1.RenewCertificateResponse, error) {
	present, err := s.admit(ctx, true)
	if err != nil {
		return nil, err
	}
	role, err := identity.RoleOf(present)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(m.GetCertificateRequest())
	if err != nil {
		return nil, err
	}
	cert, err := s.authority.IssueAgent(csr.PublicKey, role.Tenant, role.Name, time.Now())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = identity.KeyHash(cert)
	s.renewed++
	return &backupv1.RenewCertificateResponse{Certificates: s.authority.ChainOf(cert), ServerTime: timestamppb.Now()}, nil
}

func (s *fakeServer) renewals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renewed
}

func (s *fakeServer) Heartbeat(ctx context.Context, m *backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error) {
	cert, err := s.admit(ctx, false)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.certs = append(s.certs, cert)
	s.beats = append(s.beats, m)
	close(s.heard)
	s.heard = make(chan struct{})
	s.mu.Unlock()
	response := &backupv1.HeartbeatResponse{ServerTime: timestamppb.Now()}
	for _, d := range m.GetDestinations() {
		response.Destinations = append(response.Destinations, &backupv1.DestinationOrder{
			Origin: d.GetOrigin(), Status: backupv1.AssignmentStatus_ASSIGNMENT_STATUS_ASSIGNED,
			Window: &backupv1.NightWindow{TimeZone: "America/Bogota", Start: durationpb.New(0), End: durationpb.New(6 * time.Hour)},
		})
	}
	return response, nil
}

// next waits for the next heartbeat.
func (s *fakeServer) next(t testing.TB) *backupv1.HeartbeatRequest {
	t.Helper()
	s.mu.Lock()
	heard := s.heard
	s.mu.Unlock()
	select {
	case <-heard:
	case <-time.After(time.Minute):
		t.Fatal("no heartbeat comes")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beats[len(s.beats)-1]
}

// enrolled returns options of an agent that is enrolled for nas and configured with these destinations.
func (s *fakeServer) enrolled(t testing.TB, destinations ...string) Options {
	t.Helper()
	dir := t.TempDir()
	text, err := join.Join{Server: s.address, Pin: s.authority.Pin(), Secret: join.NewSecret(), ExpireTime: time.Now().Add(time.Hour).UTC().Truncate(time.Second), Origin: originOf("nas")}.Format()
	check(t, err)
	state := filepath.Join(dir, "state")
	_, err = enroll.Enroll(t.Context(), enroll.Options{StateDir: state, Join: text, HostName: "here", At: time.Now(),
		Dial: func(_ context.Context, address string, c *tls.Config) (*grpc.ClientConn, error) {
			return uplink.Dial(address, config.ProxyNone, c)
		}})
	check(t, err)
	reserve := size.Size(0)
	o := Options{Version: "v1", Logger: slog.New(slog.DiscardHandler), Config: config.Config{
		StateDir: state, Socket: filepath.Join(dir, "s"), Proxy: config.ProxyNone, Heartbeat: config.Duration(50 * time.Millisecond), StateReserve: &reserve,
	}}
	for _, name := range destinations {
		o.Config.Destinations = append(o.Config.Destinations, config.Destination{Name: name, Place: config.Place{Directory: filepath.Join(dir, name)}, Reserve: &reserve, Streams: 1})
	}
	return o
}
