package uplink

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip" // which registers it for the whole process, as a dependency might
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
)

// TestEndlessManifest stops at the line after the last that the entry announces, and keeps none of them.
func TestEndlessManifest(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "")
	h.seal("a", 3)
	server, log := serveLog(h), newLedger(t)
	var sent atomic.Int64
	ended := make(chan struct{})
	server.manifest = func(_ *backupv1.ReadManifestRequest, stream manifestStream) error {
		defer close(ended)
		for next := int64(0); ; {
			var lines bytes.Buffer
			first := next
			for range 1000 {
				line, err := ledger.FormatLine(backup.Item{Path: fmt.Sprintf("%012d.gsm", next), Kind: backup.KindGSM})
				if err != nil {
					return err
				}
				lines.Write(append(line, '\n'))
				next++
			}
			if err := stream.Send(&backupv1.ReadManifestResponse{StartIndex: first, Lines: lines.Bytes()}); err != nil {
				return err
			}
			sent.Add(1000)
		}
	}
	if err := newSession(serve(t, server), log).watch(t.Context()); err == nil || !strings.Contains(err.Error(), "more lines than") {
		t.Errorf("the watch ends with %v", err)
	}
	<-ended
	isEmpty(t, log)
	if staged, err := log.Staged(); err != nil || len(staged) > 0 {
		t.Errorf("%d manifests are left staged after %d lines, %v", len(staged), sent.Load(), err)
	}
}

// TestHugeAnswers takes neither an entry nor a message beyond the limits.
func TestHugeAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sizeBytes int
		words     string
	}{
		"entry":   {ledger.MaxEntryBytes + 1, "refused as LIMIT"},
		"message": {MaxMessageBytes, "larger than max"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, "")
			server, log := serveLog(h), newLedger(t)
			server.watch = func(_ *backupv1.WatchLedgerRequest, stream watchStream) error {
				batch := h.batch(0)
				batch.Entries = append(batch.Entries, bytes.Repeat([]byte{'x'}, test.sizeBytes))
				if err := stream.opened(7, 3); err != nil {
					return err
				}
				return stream.batch(batch)
			}
			client := serve(t, server)
			if name == "message" {
				client = dialed(t, server)
			}
			if err := newSession(client, log).watch(t.Context()); err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("the watch ends with %v, want %q", err, test.words)
			}
			isEmpty(t, log)
		})
	}
}

// dialed starts a server with TLS and returns a client as the agent makes it.
func dialed(t *testing.T, server *fakeServer, options ...grpc.ServerOption) *Client {
	t.Helper()
	authority, err := identity.NewAuthority(time.Now())
	check(t, err)
	cert, err := authority.ServerCertificate(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	g := grpc.NewServer(append(options, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}})))...)
	backupv1.RegisterLedgerServiceServer(g, services{fakeServer: server})
	backupv1.RegisterHeartbeatServiceServer(g, services{fakeServer: server})
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(listener) }()
	conn, err := Dial(listener.Addr().String(), "none", &tls.Config{InsecureSkipVerify: true})
	check(t, err)
	t.Cleanup(func() { check(t, conn.Close()); g.Stop(); <-done })
	return NewClient(conn, &ServerClock{})
}

// TestCompressedAnswers bounds what comes out of an answer that was compressed, in a process that could decompress it,
// and what is said around answers.
func TestCompressedAnswers(t *testing.T) {
	t.Parallel()
	beat := func(answer *backupv1.HeartbeatResponse, before func(ctx context.Context) error) error {
		server := &fakeServer{beat: func(*backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error) { return answer, nil }}
		first := grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			check(t, before(ctx))
			return handler(ctx, req)
		})
		_, err := dialed(t, server, first).heartbeat.Heartbeat(t.Context(), &backupv1.HeartbeatRequest{})
		return err
	}
	compress := func(ctx context.Context) error { return grpc.SetSendCompressor(ctx, gzip.Name) }
	check(t, beat(goodOrder(), compress))
	bomb := &backupv1.HeartbeatResponse{Destinations: []*backupv1.DestinationOrder{{Origin: strings.Repeat("x", 64<<20)}}}
	if err := beat(bomb, compress); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "decompression") {
		t.Errorf("an answer of 64 MiB in a few kB: %v", err)
	}
	long := func(ctx context.Context) error {
		return grpc.SetHeader(ctx, metadata.Pairs("x-long", strings.Repeat("x", 2*maxHeaderBytes)))
	}
	if err := beat(goodOrder(), long); err == nil {
		t.Error("headers of 128 KiB were taken")
	}
}
