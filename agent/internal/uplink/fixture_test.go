package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
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

func newLedger(t testing.TB) *store.Ledger {
	t.Helper()
	db, err := store.Open("", store.Options{InMemory: true})
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	log, err := db.Ledger(testOrigin)
	check(t, err)
	return log
}

// history is a server's log, with the entries and manifests that an agent is to be sent.
type history struct {
	t     testing.TB
	log   *store.Ledger
	key   *ledger.SigningKey
	agent *ledger.SigningKey
}

// newHistory returns a log with its first two entries. Histories of different names have different roots.
func newHistory(t testing.TB, name string) *history {
	t.Helper()
	h := &history{t: t, log: newLedger(t), key: testKey(t, string(testOrigin)), agent: testKey(t, testOrigin.AgentKeyName(testAgent))}
	request, err := ledger.SignRequest(testOrigin, h.agent)
	check(t, err)
	h.append(ledger.Genesis{Storage: backup.StorageRSYNC, WindowDays: 10 + len(name), ServerKey: h.key.Verifier()})
	h.append(ledger.Assigned{Request: request})
	return h
}

func (h *history) append(body ledger.Body) {
	h.t.Helper()
	leaf, err := ledger.Sign(ledger.Entry{Origin: testOrigin, Time: noon, Body: body}, h.key)
	check(h.t, err)
	check(h.t, h.log.Append(leaf))
}

// seal seals a manifest with so many items, whose names begin with prefix.
func (h *history) seal(prefix string, items int) int64 {
	h.t.Helper()
	return h.sealFrom(prefix, items, "")
}

// sealFrom is seal of items that have another path at the source.
func (h *history) sealFrom(prefix string, items int, source string) int64 {
	h.t.Helper()
	var n int64
	h.log.View(func(log *ledger.Log) { n = int64(len(log.Manifests)) + 1 })
	writer, err := h.log.StageManifest(n)
	check(h.t, err)
	for i := range items {
		line, err := ledger.FormatLine(backup.Item{Path: prefix + strconv.Itoa(100000+i) + ".gsm", SourcePath: source, Kind: backup.KindGSM})
		check(h.t, err)
		check(h.t, writer.Add(line))
	}
	root, count, sizeBytes, err := writer.Commit()
	check(h.t, err)
	h.append(ledger.Sealed{Manifest: n, Root: root, Night: backup.Date{Year: 2026, Month: 3, Day: int(n)}, Items: count, Bytes: sizeBytes, Deadline: noon.AddDate(0, 0, 15)})
	return n
}

// batch returns what follows the first after entries.
func (h *history) batch(after int64) *backupv1.EntryBatch {
	h.t.Helper()
	size, root := h.log.Position()
	batch := &backupv1.EntryBatch{AfterSequence: after}
	for leaf, err := range h.log.Entries(after, size) {
		check(h.t, err)
		batch.Entries = append(batch.Entries, leaf)
	}
	head, err := ledger.SignHead(ledger.Head{Origin: testOrigin, Size: size, Root: root}, h.key)
	check(h.t, err)
	batch.Head = head
	return batch
}

func (h *history) lines(n, from int64) (lines []byte) {
	h.t.Helper()
	for piece, err := range h.log.RawLines(n, from) {
		check(h.t, err)
		lines = append(lines, piece...)
	}
	return lines
}

// fakeServer answers as its functions say; a call without one is answered UNIMPLEMENTED.
type fakeServer struct {
	watch    func(*backupv1.WatchLedgerRequest, watchStream) error
	manifest func(*backupv1.ReadManifestRequest, grpc.ServerStreamingServer[backupv1.ReadManifestResponse]) error
	offer    func(grpc.BidiStreamingServer[backupv1.OfferLedgerRequest, backupv1.OfferLedgerResponse]) error
	submit   func(*backupv1.SubmitReceiptsRequest) (*backupv1.SubmitReceiptsResponse, error)
	contents func(*backupv1.FetchContentsRequest, grpc.ServerStreamingServer[backupv1.FetchContentsResponse]) error
	beat     func(*backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error)
	faults   func(*backupv1.ReportFaultsRequest) (*backupv1.ReportFaultsResponse, error)
}

type services struct {
	backupv1.UnimplementedLedgerServiceServer
	backupv1.UnimplementedContentServiceServer
	backupv1.UnimplementedHeartbeatServiceServer
	*fakeServer
}

func (s services) WatchLedger(m *backupv1.WatchLedgerRequest, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	if s.watch == nil {
		return s.UnimplementedLedgerServiceServer.WatchLedger(m, stream)
	}
	return s.watch(m, watchStream{stream})
}

func (s services) ReadManifest(m *backupv1.ReadManifestRequest, stream grpc.ServerStreamingServer[backupv1.ReadManifestResponse]) error {
	return s.manifest(m, stream)
}

func (s services) OfferLedger(stream grpc.BidiStreamingServer[backupv1.OfferLedgerRequest, backupv1.OfferLedgerResponse]) error {
	return s.offer(stream)
}

func (s services) SubmitReceipts(_ context.Context, m *backupv1.SubmitReceiptsRequest) (*backupv1.SubmitReceiptsResponse, error) {
	return s.submit(m)
}

func (s services) FetchContents(m *backupv1.FetchContentsRequest, stream grpc.ServerStreamingServer[backupv1.FetchContentsResponse]) error {
	return s.contents(m, stream)
}

func (s services) Heartbeat(_ context.Context, m *backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error) {
	return s.beat(m)
}

func (s services) ReportFaults(_ context.Context, m *backupv1.ReportFaultsRequest) (*backupv1.ReportFaultsResponse, error) {
	return s.faults(m)
}

// watchStream sends the events of a watch.
type watchStream struct {
	grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]
}

func (s watchStream) opened(number, size int64) error {
	return s.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Opened{
		Opened: &backupv1.SessionOpened{SessionNumber: number, Size: size, ServerTime: timestamppb.New(noon)}}})
}

func (s watchStream) batch(batch *backupv1.EntryBatch) error {
	return s.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Batch{Batch: batch}})
}

// stay keeps the watch open until the other side ends it.
func (s watchStream) stay() error {
	<-s.Context().Done()
	return s.Context().Err()
}

// idle is a watch of an empty log.
func idle(_ *backupv1.WatchLedgerRequest, stream watchStream) error {
	if err := stream.opened(7, 0); err != nil {
		return err
	}
	return stream.stay()
}

// serve starts a server and returns a client.
func serve(t testing.TB, server *fakeServer) *Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	backupv1.RegisterLedgerServiceServer(g, services{fakeServer: server})
	backupv1.RegisterContentServiceServer(g, services{fakeServer: server})
	backupv1.RegisterHeartbeatServiceServer(g, services{fakeServer: server})
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	check(t, err)
	t.Cleanup(func() { check(t, conn.Close()); g.Stop(); <-done })
	return NewClient(conn, &ServerClock{})
}

func newSession(client *Client, log *store.Ledger) *Session {
	return NewSession(client, log, func(context.Context) ([]byte, bool) { return []byte("kept head"), true }, func() error { return nil }, slog.New(slog.DiscardHandler))
}

// run keeps a session going until the test ends, and returns where its end arrives.
func run(t testing.TB, s *Session) <-chan error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	stopped := make(chan struct{})
	go func() { defer close(stopped); ended <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-stopped })
	return ended
}

// start runs a session against a server and waits until it is synced.
func start(t testing.TB, server *fakeServer, log *store.Ledger) *Session {
	t.Helper()
	s := newSession(serve(t, server), log)
	run(t, s)
	check(t, s.WaitSynced(t.Context(), 10*time.Second))
	return s
}
