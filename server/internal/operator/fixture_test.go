package operator

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/credential"
)

// fakeAdmin answers with what it holds.
type fakeAdmin struct {
	backupv1.UnimplementedAdminServiceServer
	report *backupv1.LedgerReport
	files  []*backupv1.ExportedFile
	items  [][]*backupv1.Item
	agents []*backupv1.AgentSummary
	nights []*backupv1.Night

	unrecorded [][]*backupv1.UnrecordedInteraction
	err        error // of streams, after what they have
}

func (f *fakeAdmin) VerifyLedger(context.Context, *backupv1.VerifyLedgerRequest) (*backupv1.VerifyLedgerResponse, error) {
	return &backupv1.VerifyLedgerResponse{Report: f.report}, nil
}

func (f *fakeAdmin) ListAgents(context.Context, *backupv1.ListAgentsRequest) (*backupv1.ListAgentsResponse, error) {
	return &backupv1.ListAgentsResponse{Agents: f.agents}, nil
}

func (f *fakeAdmin) ListNights(context.Context, *backupv1.ListNightsRequest) (*backupv1.ListNightsResponse, error) {
	return &backupv1.ListNightsResponse{Nights: f.nights}, nil
}

func (f *fakeAdmin) ListTenants(context.Context, *backupv1.ListTenantsRequest) (*backupv1.ListTenantsResponse, error) {
	return nil, wire.Error(codes.NotFound, wire.ReasonNoTenant, "there is none")
}

func (f *fakeAdmin) ListItems(_ *backupv1.ListItemsRequest, stream grpc.ServerStreamingServer[backupv1.ListItemsResponse]) error {
	for _, page := range f.items {
		if err := stream.Send(&backupv1.ListItemsResponse{Items: page}); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fakeAdmin) ListUnrecorded(_ *backupv1.ListUnrecordedRequest, stream grpc.ServerStreamingServer[backupv1.ListUnrecordedResponse]) error {
	for _, page := range f.unrecorded {
		if err := stream.Send(&backupv1.ListUnrecordedResponse{Interactions: page}); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fakeAdmin) ExportLedger(_ *backupv1.ExportLedgerRequest, stream grpc.ServerStreamingServer[backupv1.ExportLedgerResponse]) error {
	for _, file := range f.files {
		if err := stream.Send(&backupv1.ExportLedgerResponse{File: file}); err != nil {
			return err
		}
	}
	return f.err
}

// run is the program against a server.
type run struct {
	credential string
}

// serve starts a server that answers with admin.
func serve(t *testing.T, admin backupv1.AdminServiceServer) run {
	t.Helper()
	now := time.Now()
	authority, err := identity.NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.ServerCertificate(t.TempDir(), []string{"127.0.0.1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	operator, err := authority.NewOperator("admin", now)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(authority.ServerCredentials(func() tls.Certificate { return certificate }, time.Now)))
	backupv1.RegisterAdminServiceServer(server, admin)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) { // stopped before it began
			t.Errorf("Serve = %v", err)
		}
	})
	path := filepath.Join(t.TempDir(), "operator.pem")
	if err := (credential.Credential{Credential: operator, Server: listener.Addr().String()}).Save(path); err != nil {
		t.Fatal(err)
	}
	return run{path}
}

// do runs a command and returns its exit status and what it wrote.
func (r run) do(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	refusing := Server{
		Init: func(config.Config, string, time.Time) (string, error) { return "", context.Canceled },
		Run:  func(context.Context, config.Config, *slog.Logger) error { return context.Canceled },
	}
	if r.credential != "" {
		args = append(args, "--credential", r.credential)
	}
	status = Main(t.Context(), refusing, args, &out, &errs)
	return status, out.String(), errs.String()
}
