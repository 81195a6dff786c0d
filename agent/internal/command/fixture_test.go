package command

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeAgent is an agent that answers as its fields say, and takes note of what is done with it.
type fakeAgent struct {
	status   *backupv1.GetStatusResponse
	steps    []*backupv1.RunResponse
	checks   []*backupv1.CheckResponse
	report   *backupv1.LedgerReport
	files    []*backupv1.ExportedFile
	fails    error // of every call
	openFail error
	runFail  error // of the agent as a whole
	limits   fakeLimits
	parts    []*backupv1.ReportResponse // what it reports

	asked *backupv1.ReportRequest // the last; guarded by mu

	mu     sync.Mutex
	opened int
	closed int
	online bool // Run was called
}

func (a *fakeAgent) open(Options) (Agent, error) {
	if a.openFail != nil {
		return nil, a.openFail
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened++
	return a, nil
}

func (a *fakeAgent) Run(ctx context.Context, listener net.Listener) error {
	a.mu.Lock()
	a.online = true
	a.mu.Unlock()
	if a.runFail != nil {
		return errors.Join(a.runFail, listener.Close())
	}
	return a.Serve(ctx, listener)
}

func (a *fakeAgent) Serve(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	backupv1.RegisterAgentServiceServer(server, &fakeService{fakeAgent: a})
	defer context.AfterFunc(ctx, server.Stop)()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (a *fakeAgent) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed++
	return nil
}

// fakeService is what the agent answers people with.
type fakeService struct {
	backupv1.UnimplementedAgentServiceServer
	*fakeAgent
}

func (a *fakeService) GetStatus(ctx context.Context, _ *backupv1.GetStatusRequest) (*backupv1.GetStatusResponse, error) {
	if err := a.limits.nameZone(ctx); err != nil {
		return nil, err
	}
	return a.status, a.fails
}

func (a *fakeService) Run(m *backupv1.RunRequest, stream grpc.ServerStreamingServer[backupv1.RunResponse]) error {
	if err := a.known(m.GetDestination()); err != nil {
		return err
	}
	for _, step := range a.steps {
		if err := stream.Send(step); err != nil {
			return err
		}
	}
	return a.fails
}

func (a *fakeService) Check(m *backupv1.CheckRequest, stream grpc.ServerStreamingServer[backupv1.CheckResponse]) error {
	if err := a.known(m.GetDestination()); err != nil {
		return err
	}
	for _, step := range a.checks {
		if err := stream.Send(step); err != nil {
			return err
		}
	}
	return a.fails
}

func (a *fakeAgent) known(destination string) error {
	if destination == "" || destination == "nas" {
		return nil
	}
	return wire.Error(codes.NotFound, wire.ReasonNoDestination, "there is no destination %q in the agent's configuration", destination)
}

func (a *fakeService) InitDestination(_ context.Context, m *backupv1.InitDestinationRequest) (*backupv1.InitDestinationResponse, error) {
	if err := a.known(m.GetDestination()); err != nil {
		return nil, err
	}
	return &backupv1.InitDestinationResponse{Location: "/mnt/nas", MarkerId: "abc"}, a.fails
}

func (a *fakeService) AcceptLosses(_ context.Context, m *backupv1.AcceptLossesRequest) (*backupv1.AcceptLossesResponse, error) {
	if err := a.known(m.GetDestination()); err != nil {
		return nil, err
	}
	return &backupv1.AcceptLossesResponse{LostCount: 40, AuditedCount: 100}, a.fails
}

func (a *fakeService) VerifyAgentLedger(_ context.Context, m *backupv1.VerifyAgentLedgerRequest) (*backupv1.VerifyAgentLedgerResponse, error) {
	return &backupv1.VerifyAgentLedgerResponse{Report: a.report}, errors.Join(a.known(m.GetDestination()), a.fails)
}

func (a *fakeService) ExportAgentLedger(_ *backupv1.ExportAgentLedgerRequest, stream grpc.ServerStreamingServer[backupv1.ExportAgentLedgerResponse]) error {
	for _, file := range a.files {
		if err := stream.Send(&backupv1.ExportAgentLedgerResponse{File: file}); err != nil {
			return err
		}
	}
	return a.fails
}

// machine is where commands are typed.
type machine struct {
	t      testing.TB
	dir    string
	config string // the path of the configuration
	socket string
	agent  *fakeAgent
	stdin  string
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), agent: &fakeAgent{status: wellStatus()}}
	m.config, m.socket = filepath.Join(m.dir, "agent.yaml"), filepath.Join(m.dir, "s")
	m.configure("state_dir: '" + filepath.Join(m.dir, "state") + "'\nsocket: '" + m.socket + "'\ndestinations: [{name: nas, directory: '" + filepath.Join(m.dir, "nas") + "'}]\n")
	return m
}

func (m *machine) configure(text string) {
	m.t.Helper()
	check(m.t, os.WriteFile(m.config, []byte(text), 0o600))
}

// run types a command and returns its status and what it wrote.
func (m *machine) run(args ...string) (status int, stdout, stderr string) {
	m.t.Helper()
	var out, errs bytes.Buffer
	status = Run(m.t.Context(), m.agent.open, append([]string{"--config", m.config}, args...), strings.NewReader(m.stdin), &out, &errs)
	return status, out.String(), errs.String()
}

// serve starts the agent as a service, which goes on until the test ends.
func (m *machine) serve() {
	m.t.Helper()
	listener, err := net.Listen("unix", m.socket)
	check(m.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.agent.Serve(ctx, listener) }()
	m.t.Cleanup(func() { cancel(); check(m.t, <-done) })
}

// wellStatus is the status of an agent with nothing to do.
func wellStatus() *backupv1.GetStatusResponse {
	free := int64(5e9)
	return &backupv1.GetStatusResponse{
		Agent: "0123456789abcdef", Version: "v1", ServerAddress: "server.example:443",
		Destinations: []*backupv1.DestinationStatus{{
			Name: "nas", Origin: "wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff", Location: "/mnt/nas",
			Counts: &backupv1.StateCounts{ConfirmedCount: 3, WithdrawnCount: 1}, FreeBytes: &free,
			Position: &backupv1.LogPosition{Size: 4, Root: []byte{1, 2}}, Agreed: &backupv1.LogPosition{Size: 4, Root: []byte{1, 2}},
			Nights: []*backupv1.Night{{Manifest: 1, Night: "2026-03-01", ItemCount: 4, Open: true, Counts: &backupv1.StateCounts{ConfirmedCount: 3, WithdrawnCount: 1}}},
		}},
	}
}
