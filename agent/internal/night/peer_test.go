package night

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net"
	"strings"
	"sync"
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

func testKey(t testing.TB, name, seed string) *ledger.SigningKey {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	key, err := ledger.NewSigningKey(name, ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// peer is a server for one agent: a real ledger in a real store, recordings in memory, no clock and no TLS. It keeps
// the contract of the three services as far as an agent that is let in can see it, and watches for what must not happen.
type peer struct {
	backupv1.UnimplementedLedgerServiceServer
	backupv1.UnimplementedContentServiceServer
	backupv1.UnimplementedHeartbeatServiceServer

	t      testing.TB
	log    *store.Ledger
	key    *ledger.SigningKey
	known  ledger.Verifier // the server's key when the agent enrolled
	agent  *ledger.SigningKey
	listen *bufconn.Listener

	mu       sync.Mutex
	contents map[string][]byte // by path
	served   int               // items sent
	wrong    []string          // what must not happen and did
	spoil    func(index int64, data []byte) []byte
	reported []*backupv1.ItemFault
	skew     time.Duration // of the server's time against this machine's
}

func (p *peer) time() *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(p.skew)) }

func newPeer(t testing.TB) *peer { return newPeerAfter(t, nil) }

// newPeerAfter has a log that continues another one.
func newPeerAfter(t testing.TB, previous *ledger.KnownHead) *peer {
	p := servePeer(t)
	request, err := ledger.SignRequest(testOrigin, p.agent)
	if err != nil {
		t.Fatal(err)
	}
	p.append(ledger.Genesis{Storage: backup.StorageRSYNC, WindowDays: 15, ServerKey: p.key.Verifier(), Previous: previous})
	p.append(ledger.Assigned{Request: request})
	return p
}

// older is the same server as it was when its log had so many entries.
func (p *peer) older(size int64) *peer {
	p.t.Helper()
	old := servePeer(p.t)
	old.contents = p.contents
	for leaf, err := range p.log.Entries(0, size) {
		if err != nil {
			p.t.Fatal(err)
		}
		entry, err := ledger.ParseEntry(leaf)
		if err != nil {
			p.t.Fatal(err)
		}
		if sealed, ok := entry.Body.(ledger.Sealed); ok {
			old.stageLines(sealed.Manifest, p)
		}
		if err := old.log.Append(leaf); err != nil {
			p.t.Fatal(err)
		}
	}
	return old
}

// stageLines stages a manifest as another server has it.
func (p *peer) stageLines(manifest int64, from *peer) {
	p.t.Helper()
	writer, err := p.log.StageManifest(manifest)
	if err != nil {
		p.t.Fatal(err)
	}
	for piece, err := range from.log.RawLines(manifest, 0) {
		if err != nil {
			p.t.Fatal(err)
		}
		for line := range strings.Lines(string(piece)) {
			if err := writer.Add([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	if _, _, _, err := writer.Commit(); err != nil {
		p.t.Fatal(err)
	}
}

// servePeer serves an empty log.
func servePeer(t testing.TB) *peer {
	db, err := store.Open("", store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	log, err := db.Ledger(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, log: log, key: testKey(t, string(testOrigin), "server"), agent: testKey(t, testOrigin.AgentKeyName(testAgent), "agent"),
		listen: bufconn.Listen(1 << 20), contents: make(map[string][]byte)}
	p.known = p.key.Verifier()
	server := grpc.NewServer()
	backupv1.RegisterLedgerServiceServer(server, p)
	backupv1.RegisterContentServiceServer(server, p)
	backupv1.RegisterHeartbeatServiceServer(server, p)
	go server.Serve(p.listen)
	t.Cleanup(server.Stop)
	return p
}

func (p *peer) dial() *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///peer", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.listen.DialContext(ctx) }))
	if err != nil {
		p.t.Fatal(err)
	}
	return conn
}

// assign lets an agent with this key serve the destination from now on.
func (p *peer) assign(key *ledger.SigningKey) {
	p.t.Helper()
	p.agent = key
	request, err := ledger.SignRequest(testOrigin, key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.append(ledger.Assigned{Request: request})
}

// rekey gives the log another server key.
func (p *peer) rekey(next *ledger.SigningKey) {
	p.t.Helper()
	leaf, err := ledger.Sign(ledger.Entry{Origin: testOrigin, Time: time.Now().UTC().Truncate(time.Second),
		Body: ledger.Rekeyed{OldKey: p.key.Verifier(), NewKey: next.Verifier()}}, p.key, next)
	if err == nil {
		p.key = next
		err = p.log.Append(leaf)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) append(body ledger.Body) {
	p.t.Helper()
	leaf, err := ledger.Sign(ledger.Entry{Origin: testOrigin, Time: time.Now().UTC().Truncate(time.Second), Body: body}, p.key)
	if err == nil {
		err = p.log.Append(leaf)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// seal seals a manifest of items with these names and contents, in the order of their names.
func (p *peer) seal(names []string, content func(name string) []byte) int64 {
	p.t.Helper()
	var n int64
	p.log.View(func(log *ledger.Log) { n = int64(len(log.Manifests)) + 1 })
	writer, err := p.log.StageManifest(n)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, name := range names {
		data := content(name)
		p.mu.Lock()
		p.contents[name] = data
		p.mu.Unlock()
		line, err := ledger.FormatLine(backup.Item{Path: name, Kind: backup.KindGSM, Digest: digestOf(data)})
		if err == nil {
			err = writer.Add(line)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	root, items, sizeBytes, err := writer.Commit()
	if err != nil {
		p.t.Fatal(err)
	}
	p.append(ledger.Sealed{Manifest: n, Root: root, Night: backup.Date{Year: 2026, Month: 3, Day: int(n)}, Items: items, Bytes: sizeBytes,
		Deadline: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)})
	return n
}

func digestOf(data []byte) backup.Digest {
	return backup.Digest{SHA256: sha256.Sum256(data), SizeBytes: int64(len(data))}
}

// violation records what must not happen.
func (p *peer) violation(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}
