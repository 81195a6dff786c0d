package control

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/acts"
	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/agent/internal/probe"
	"github.com/wolkvox/backup/agent/internal/schedule"
	"github.com/wolkvox/backup/agent/internal/uplink"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

const (
	testOrigin = ledger.Origin("wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")
	testAgent  = "0123456789abcdef"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testKey(t testing.TB, name string) *ledger.SigningKey {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	key, err := ledger.NewSigningKey(name, ed25519.NewKeyFromSeed(seed[:]))
	check(t, err)
	return key
}

// server has a log of which an agent takes everything; it has no contents.
type server struct {
	backupv1.UnimplementedLedgerServiceServer
	log *store.Ledger
	key *ledger.SigningKey
}

func newLog(t testing.TB) *store.Ledger {
	t.Helper()
	db, err := store.Open("", store.Options{InMemory: true})
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	log, err := db.Ledger(testOrigin)
	check(t, err)
	return log
}

// newServer has a night of so many recordings.
func newServer(t testing.TB, items int) *server {
	t.Helper()
	s := &server{log: newLog(t), key: testKey(t, string(testOrigin))}
	request, err := ledger.SignRequest(testOrigin, testKey(t, testOrigin.AgentKeyName(testAgent)))
	check(t, err)
	s.append(t, ledger.Genesis{Storage: backup.StorageRSYNC, WindowDays: 15, ServerKey: s.key.Verifier()})
	s.append(t, ledger.Assigned{Request: request})
	writer, err := s.log.StageManifest(1)
	check(t, err)
	for i := range items {
		line, err := ledger.FormatLine(backup.Item{Path: string(rune('a'+i)) + ".gsm", Kind: backup.KindGSM, Digest: digestOf("a recording")})
		check(t, err)
		check(t, writer.Add(line))
	}
	root, count, sizeBytes, err := writer.Commit()
	check(t, err)
	s.append(t, ledger.Sealed{Manifest: 1, Root: root, Night: backup.Date{Year: 2026, Month: 3, Day: 1}, Items: count, Bytes: sizeBytes, Deadline: noon.AddDate(0, 0, 15)})
	return s
}

func digestOf(text string) backup.Digest {
	return backup.Digest{SHA256: sha256.Sum256([]byte(text)), SizeBytes: int64(len(text))}
}

func (s *server) append(t testing.TB, body ledger.Body) {
	t.Helper()
	leaf, err := ledger.Sign(ledger.Entry{Origin: testOrigin, Time: noon, Body: body}, s.key)
	check(t, err)
	check(t, s.log.Append(leaf))
}

func (s *server) WatchLedger(m *backupv1.WatchLedgerRequest, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	after := m.GetPosition().GetSize()
	opened := false
	for {
		changed := s.log.Changed()
		size, root := s.log.Position()
		batch := &backupv1.EntryBatch{AfterSequence: after}
		for leaf, err := range s.log.Entries(after, size) {
			if err != nil {
				return err
			}
			batch.Entries = append(batch.Entries, leaf)
		}
		var err error
		if batch.Head, err = ledger.SignHead(ledger.Head{Origin: testOrigin, Size: size, Root: root}, s.key); err != nil {
			return err
		}
		if !opened {
			event := &backupv1.WatchLedgerResponse_Opened{Opened: &backupv1.SessionOpened{SessionNumber: 1, Size: size, ServerTime: timestamppb.New(noon)}}
			if err := stream.Send(&backupv1.WatchLedgerResponse{Event: event}); err != nil {
				return err
			}
			opened = true
		}
		if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Batch{Batch: batch}}); err != nil {
			return err
		}
		after = size
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (s *server) ReadManifest(m *backupv1.ReadManifestRequest, stream grpc.ServerStreamingServer[backupv1.ReadManifestResponse]) error {
	var lines []byte
	for piece, err := range s.log.RawLines(m.GetManifest(), 0) {
		if err != nil {
			return err
		}
		lines = append(lines, piece...)
	}
	return stream.Send(&backupv1.ReadManifestResponse{Lines: lines, Last: true})
}

func (s *server) SubmitReceipts(_ context.Context, m *backupv1.SubmitReceiptsRequest) (*backupv1.SubmitReceiptsResponse, error) {
	response := &backupv1.SubmitReceiptsResponse{}
	for _, receipt := range m.GetReceipts() {
		if err := s.log.Append(receipt); err != nil {
			return nil, err
		}
		response.Verdicts = append(response.Verdicts, backupv1.Verdict_VERDICT_OK)
	}
	return response, nil
}

// rig is a service with one destination, and what is behind it.
type rig struct {
	service  *Service
	server   *server
	disk     *memdest.Disk
	night    *night.Night
	log      *store.Ledger
	limits   *limits
	begin    func() // lets the night's loop begin
	socket   string
	stateDir string
	stop     func() error // ends the service and returns what Serve does
}

// newRig serves on a socket.
func newRig(t testing.TB, items int) *rig {
	t.Helper()
	r := &rig{server: newServer(t, items), limits: &limits{}, disk: memdest.New(), log: newLog(t), socket: filepath.Join(t.TempDir(), "s"), stateDir: t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	listener := bufconn.Listen(1 << 16)
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	backupv1.RegisterLedgerServiceServer(g, r.server)
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	check(t, err)
	place, err := dest.New(r.disk, "memory", string(testOrigin))
	check(t, err)
	silent := slog.New(slog.DiscardHandler)
	room := func() error { return nil }
	client := uplink.NewClient(conn, &uplink.ServerClock{})
	session := uplink.NewSession(client, r.log, func(context.Context) ([]byte, bool) { return nil, false }, room, silent)
	r.night = night.New(night.Config{
		Name: "nas", Log: r.log, Key: testKey(t, testOrigin.AgentKeyName(testAgent)), ServerKey: r.server.key.Verifier(), Client: client, Session: session,
		Dest: place, Streams: 1, Limiter: rate.NewLimiter(rate.Inf, 1), Reserve: func(dest.Space) int64 { return 0 }, Room: room,
		Agreed: func(context.Context) error { return nil }, Patience: 10 * time.Second, Slog: silent,
		Audits: audit.NewJournal(t.TempDir(), "nas"),
	})
	r.service = &Service{
		Agent: testAgent, Version: "v1", ServerAddress: "server.example:443", ServerProblem: func() error { return nil },
		Problems: func() []string { return nil }, ClockOffset: func() (time.Duration, bool) { return 0, false }, CertificateEnd: func() time.Time { return noon }, AtWork: true,
		Acts: acts.Open(r.stateDir),
		Destinations: []Destination{{
			Name: "nas", Location: "/mnt/nas", Log: r.log, Night: r.night, Store: place, LogProblem: session.Problem,
			Space:  func() (dest.Space, bool, error) { return dest.Space{FreeBytes: 5e9}, true, nil },
			Limits: r.limits.limits(),
			Probe: probe.New(probe.Config{
				Name: "nas", Location: "/mnt/nas", Store: place, JudgeKept: r.night.JudgeKept, Pending: r.night.Pending,
				Reserve: func(dest.Space) int64 { return 0 }, Server: func(context.Context) error { return nil }, ServerAddress: "server.example:443",
				Now: func() time.Time { return noon }, ClockOffset: func() (time.Duration, bool) { return 0, true },
				CertificateEnd: func() time.Time { return noon.AddDate(0, 0, 80) }, Renewal: func() error { return nil }, StateRoom: room,
				Patience: 10 * time.Second, Logger: silent,
			}),
		}},
	}
	begin := make(chan struct{})
	r.begin = sync.OnceFunc(func() { close(begin) })
	busy.Go(func() { g.Serve(listener) })
	busy.Go(func() { session.Run(ctx) })
	busy.Go(func() {
		select {
		case <-begin:
			r.night.Loop(ctx, func() (schedule.Window, bool) { return schedule.Window{}, false })
		case <-ctx.Done():
		}
	})
	own, err := Listen(r.socket, "")
	check(t, err)
	served := make(chan error, 1)
	serving, end := context.WithCancel(context.Background())
	busy.Go(func() { served <- r.service.Serve(serving, own) })
	r.stop = sync.OnceValue(func() error { end(); return <-served })
	t.Cleanup(func() {
		check(t, r.stop())
		cancel()
		conn.Close()
		g.Stop()
		busy.Wait()
	})
	check(t, session.WaitSynced(t.Context(), 10*time.Second))
	return r
}

// ask returns a client over the socket.
func (r *rig) ask(t testing.TB) backupv1.AgentServiceClient {
	t.Helper()
	conn, err := Dial(t.Context(), r.socket)
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	return backupv1.NewAgentServiceClient(conn)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}
