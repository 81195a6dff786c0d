package fetch

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/uplink"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

const testOrigin = ledger.Origin("wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// source serves recordings as a server does; serve, where set, is called instead with the number of the call.
type source struct {
	backupv1.UnimplementedLedgerServiceServer
	backupv1.UnimplementedContentServiceServer

	contents [][]byte // by index
	serve    func(call int, wanted []int64, offset int64, s sender) error

	mu    sync.Mutex
	calls int
	sent  int64
	asked [][]int64 // the indexes of each call
}

// sender sends pieces and counts them.
type sender struct {
	stream grpc.ServerStreamingServer[backupv1.FetchContentsResponse]
	source *source
}

func (s sender) piece(index, offset int64, data []byte, last bool) error {
	s.source.mu.Lock()
	s.source.sent += int64(len(data))
	s.source.mu.Unlock()
	return s.send(&backupv1.ContentSegment{Index: index, OffsetBytes: offset, Data: data, Last: last})
}

func (s sender) send(segments ...*backupv1.ContentSegment) error {
	return s.stream.Send(&backupv1.FetchContentsResponse{Segments: segments})
}

func (s sender) complete() error {
	return s.stream.Send(&backupv1.FetchContentsResponse{Complete: true})
}

const pieceBytes = 1000

// file sends a file from an offset on, in pieces.
func (s sender) file(index, offset int64) error {
	data := s.source.contents[index]
	for {
		end := min(offset+pieceBytes, int64(len(data)))
		if err := s.piece(index, offset, data[offset:end], end == int64(len(data))); err != nil || end == int64(len(data)) {
			return err
		}
		offset = end
	}
}

// files sends what is asked for and says that it is complete.
func (s sender) files(wanted []int64, offset int64) error {
	for _, index := range wanted {
		if err := s.file(index, offset); err != nil {
			return err
		}
		offset = 0
	}
	return s.complete()
}

func (s *source) WatchLedger(_ *backupv1.WatchLedgerRequest, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	opened := &backupv1.SessionOpened{SessionNumber: 1, ServerTime: timestamppb.Now()}
	if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Opened{Opened: opened}}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (s *source) FetchContents(m *backupv1.FetchContentsRequest, stream grpc.ServerStreamingServer[backupv1.FetchContentsResponse]) error {
	set, err := wire.ParseIndexes(m.GetIndexes())
	if err != nil {
		return err
	}
	wanted := slices.Collect(set.All())
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.asked = append(s.asked, wanted)
	s.mu.Unlock()
	if s.serve != nil {
		return s.serve(call, wanted, m.GetReadOffsetBytes(), sender{stream, s})
	}
	return sender{stream, s}.files(wanted, m.GetReadOffsetBytes())
}

// open serves, and returns a fetcher with a session that is open.
func (s *source) open(t testing.TB) *Fetcher {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	backupv1.RegisterLedgerServiceServer(server, s)
	backupv1.RegisterContentServiceServer(server, s)
	db, err := store.Open("", store.Options{InMemory: true})
	check(t, err)
	log, err := db.Ledger(testOrigin)
	check(t, err)
	conn, err := grpc.NewClient("passthrough:///source", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	check(t, err)
	session := uplink.NewSession(uplink.NewClient(conn, &uplink.ServerClock{}), log,
		func(context.Context) ([]byte, bool) { return nil, false }, func() error { return nil }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	busy.Go(func() { server.Serve(listener) })
	busy.Go(func() { session.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		conn.Close()
		server.Stop()
		busy.Wait()
		db.Close()
	})
	check(t, session.WaitSynced(t.Context(), 10*time.Second))
	return &Fetcher{Session: session, Streams: 1, Bytes: func(int) {}, Patience: 2}
}

func digestOf(data []byte) backup.Digest {
	return backup.Digest{SHA256: sha256.Sum256(data), SizeBytes: int64(len(data))}
}

// newSource returns a source of files with these sizes, and the items.
func newSource(sizes ...int) (*source, []Item) {
	s := &source{}
	var items []Item
	random := rand.New(rand.NewPCG(1, uint64(len(sizes))))
	for i, size := range sizes {
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(random.Uint32())
		}
		s.contents = append(s.contents, data)
		items = append(items, Item{Index: int64(i), Path: fmt.Sprintf("%d.gsm", i), Digest: digestOf(data)})
	}
	return s, items
}

func unavailable(s *backupv1.ContentSegment, why backupv1.Unavailability) *backupv1.ContentSegment {
	s.Unavailable = why
	return s
}
