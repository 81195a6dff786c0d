package contentrpc_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/servertest"
	"github.com/wolkvox/backup/server/internal/source"
)

var noon = time.Date(2026, 3, 10, 17, 0, 0, 0, time.UTC)

// checker takes down what was asked for.
type checker struct {
	mu    sync.Mutex
	asked ledger.Set
}

func (c *checker) RequestCheck(_ ledger.Origin, _ int64, indexes ledger.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = c.asked.Union(indexes)
}

func (c *checker) indexes() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked.String()
}

type rig struct {
	*servertest.Server
	t       *testing.T
	key     *ledger.SigningKey
	session int64
	service *contentrpc.Service
	checker *checker
	client  backupv1.ContentServiceClient
	dial    func(identity.Role) backupv1.ContentServiceClient
}

func newRig(t *testing.T, options contentrpc.Options) *rig {
	t.Helper()
	s := servertest.New(t, "America/Bogota", backup.StorageRSYNC, noon)
	r := &rig{Server: s, t: t, key: s.Enroll(), checker: &checker{}}
	session, err := s.Sequencer().OpenSession([16]byte{1})
	s.Must(err)
	r.session = session
	r.service = contentrpc.New(s.Sequencers, s.Registry, r.checker, options)
	address := s.Serve(func(g *grpc.Server) { backupv1.RegisterContentServiceServer(g, r.service) }, contentrpc.Codec())
	r.dial = func(role identity.Role) backupv1.ContentServiceClient {
		return backupv1.NewContentServiceClient(s.Dial(address, role))
	}
	r.client = r.dial(identity.AgentRole(servertest.Tenant, servertest.Agent))
	return r
}

// received is what came for one item.
type received struct {
	data        []byte
	offset      int64
	complete    bool
	unavailable backupv1.Unavailability
}

func (r *rig) open(manifest int64, indexes ledger.Set, offset int64) grpc.ServerStreamingClient[backupv1.FetchContentsResponse] {
	r.t.Helper()
	stream, err := r.client.FetchContents(r.t.Context(), &backupv1.FetchContentsRequest{
		Origin: string(r.Origin), SessionNumber: r.session, Manifest: manifest, Indexes: wire.Indexes(indexes), ReadOffsetBytes: offset,
	})
	r.Must(err)
	return stream
}

func (r *rig) fetch(manifest int64, indexes ledger.Set, offset int64) (map[int64]*received, error) {
	r.t.Helper()
	stream := r.open(manifest, indexes, offset)
	items := map[int64]*received{}
	last := int64(-1)
	for {
		res, err := stream.Recv()
		if err != nil {
			return items, err
		}
		total := 0
		for _, segment := range res.GetSegments() {
			total += len(segment.GetData())
			item := items[segment.GetIndex()]
			if item == nil {
				if segment.GetIndex() <= last {
					return items, fmt.Errorf("item %d comes after %d", segment.GetIndex(), last)
				}
				last = segment.GetIndex()
				item = &received{offset: segment.GetOffsetBytes()}
				items[last] = item
			}
			if want := item.offset + int64(len(item.data)); segment.GetOffsetBytes() != want || item.complete || item.unavailable != 0 {
				return items, fmt.Errorf("item %d: a segment at %d, want %d", segment.GetIndex(), segment.GetOffsetBytes(), want)
			}
			item.data = append(item.data, segment.GetData()...)
			item.complete, item.unavailable = segment.GetLast(), segment.GetUnavailable()
		}
		if total > 1<<20 {
			return items, fmt.Errorf("a message of %d bytes", total)
		}
		if res.GetComplete() {
			return items, nil
		}
	}
}

// expect checks that an item came whole and has the sealed digest.
func (r *rig) expect(items map[int64]*received, manifest, index int64) {
	r.t.Helper()
	line, err := r.Sequencer().Ledger().Line(manifest, index)
	r.Must(err)
	item := items[index]
	if item == nil || !item.complete || item.unavailable != 0 {
		r.t.Fatalf("item %d: %+v", index, item)
	}
	if sum := sha256.Sum256(item.data); sum != line.Item.Digest.SHA256 || int64(len(item.data)) != line.Item.Digest.SizeBytes {
		r.t.Fatalf("item %d: %d bytes with another digest, want %s", index, len(item.data), line.Item.Digest)
	}
}

func all(items int64) ledger.Set { return ledger.NewSet(ledger.Range{First: 0, Last: items - 1}) }

func TestFetch(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	served := map[int64]int64{}
	r := newRig(t, contentrpc.Options{OnServed: func(_ ledger.Origin, _, index, sizeBytes int64) {
		mu.Lock()
		defer mu.Unlock()
		served[index] += sizeBytes
	}})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	sizes := []int{0, 1, 256 << 10, 256<<10 + 1, 512 << 10, 512<<10 + 1, 3 << 20, 0, 33}
	for range 300 {
		sizes = append(sizes, random.IntN(3000))
	}
	for i, size := range sizes {
		contents := make([]byte, size)
		for j := range contents {
			contents[j] = byte(random.Uint32())
		}
		r.Write(fmt.Sprintf("%06d:x.gsm", i), string(contents), noon.Add(-time.Hour))
	}
	r.Look(false, noon)
	items, err := r.fetch(1, all(int64(len(sizes))), 0)
	r.Must(err)
	var total int64
	for i, size := range sizes {
		r.expect(items, 1, int64(i))
		if served[int64(i)] != int64(size) {
			t.Errorf("item %d: %d bytes counted, want %d", i, served[int64(i)], size)
		}
		total += int64(size)
	}
	if got, want := r.service.Served(r.Origin), (contentrpc.Served{Files: int64(len(sizes)), Bytes: total}); got != want {
		t.Errorf("served %+v, want %+v", got, want)
	}

	// Some of them, from inside the first on.
	line, err := r.Sequencer().Ledger().Line(1, 6)
	r.Must(err)
	items, err = r.fetch(1, ledger.NewSet(ledger.Range{First: 6, Last: 6}, ledger.Range{First: 8, Last: 8}, ledger.Range{First: 250, Last: 260}), 1<<20+7)
	r.Must(err)
	if len(items) != 13 || items[6].offset != 1<<20+7 || int64(len(items[6].data)) != line.Item.Digest.SizeBytes-(1<<20+7) {
		t.Errorf("%d items, the first from %d on, %d bytes", len(items), items[6].offset, len(items[6].data))
	}
	r.expect(items, 1, 8)
	r.expect(items, 1, 255)
	if got := r.checker.indexes(); got != "" {
		t.Errorf("checks were asked for: %s", got)
	}
}

func TestSparse(t *testing.T) {
	t.Parallel()
	r := newRig(t, contentrpc.Options{})
	for i := range 2600 {
		r.Write(fmt.Sprintf("%06d.gsm", i), fmt.Sprint(i), noon.Add(-time.Hour))
	}
	r.Look(false, noon)
	items, err := r.fetch(1, ledger.NewSet(ledger.Range{First: 1, Last: 1}, ledger.Range{First: 300, Last: 300}, ledger.Range{First: 2599, Last: 2599}), 0)
	r.Must(err)
	for index, want := range map[int64]string{1: "1", 300: "300", 2599: "2599"} {
		if got := string(items[index].data); got != want {
			t.Errorf("item %d is %q", index, got)
		}
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	r := newRig(t, contentrpc.Options{})
	large := bytes.Repeat([]byte("large"), 200<<10)
	for _, name := range []string{"0confirmed", "1gone", "2grown", "3touched", "4link", "5good", "6forbidden"} {
		r.Write(name, "contents", noon.Add(-time.Hour))
	}
	r.Write("7large", string(large), noon.Add(-time.Hour))
	r.Look(false, noon)
	m, _ := r.Sequencer().Manifest(1)
	leaf, err := ledger.Sign(ledger.Entry{Origin: r.Origin, Time: noon, Body: ledger.Delivered{
		Receipt: ledger.Receipt{Manifest: 1, Root: m.Root, Number: 1, Indexes: all(1)}, Method: backup.ReadbackCached, Brought: ledger.BroughtAutomatic,
	}}, r.key)
	r.Must(err)
	_, err = r.Sequencer().SubmitReceipts(t.Context(), r.session, [][]byte{leaf})
	r.Must(err)
	r.Must(os.Remove(filepath.Join(r.Directory, "1gone")))
	r.Write("2grown", "contents and more", noon.Add(-time.Hour))
	r.Write("3touched", "CONTENTS", noon)
	r.Must(os.Remove(filepath.Join(r.Directory, "4link")))
	r.Must(os.Symlink("5good", filepath.Join(r.Directory, "4link")))
	items, err := r.fetch(1, all(8), 0)
	r.Must(err)
	const (
		changed    = backupv1.Unavailability_UNAVAILABILITY_SOURCE_CHANGED
		notPending = backupv1.Unavailability_UNAVAILABILITY_NOT_PENDING
	)
	for index, want := range []backupv1.Unavailability{notPending, changed, changed, changed, changed, 0, 0, 0} {
		if got := items[int64(index)]; got.unavailable != want {
			t.Errorf("item %d: %v, want %v", index, got.unavailable, want)
		}
	}
	if got := r.checker.indexes(); got != "1-4" {
		t.Errorf("checks were asked for %s", got)
	}

	r.Must(os.Remove(filepath.Join(r.Directory, source.MarkerName)))
	if _, err = r.fetch(1, all(8), 0); wire.Reason(err) != wire.ReasonSourceUnreachable {
		t.Errorf("unmounted: %v", err)
	}
	if after, ok := wire.RetryAfter(err); !ok || after <= 0 {
		t.Error("it is not said when to come back")
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, contentrpc.Options{MaxStreamsPerAgent: 1, BytesPerSecond: 1 << 20})
	for i := range 4 {
		r.Write(fmt.Sprint(i), string(make([]byte, 2<<20)), noon.Add(-time.Hour))
	}
	r.Look(false, noon)
	session := r.session
	tests := []struct {
		name     string
		session  int64
		manifest int64
		indexes  ledger.Set
		offset   int64
		reason   string
	}{
		{"another session", session + 1, 1, all(1), 0, wire.ReasonNoSession},
		{"a manifest that is not sealed", session, 2, all(1), 0, wire.ReasonNoManifest},
		{"no items", session, 1, ledger.Set{}, 0, wire.ReasonBadIndexes},
		{"items beyond", session, 1, all(5), 0, wire.ReasonBadIndexes},
		{"a negative offset", session, 1, all(1), -1, wire.ReasonBadIndexes},
	}
	for _, test := range tests {
		r.session = test.session
		if _, err := r.fetch(test.manifest, test.indexes, test.offset); wire.Reason(err) != test.reason {
			t.Errorf("%s: %v, want %s", test.name, err, test.reason)
		}
	}
	r.session = session
	r.client = r.dial(identity.AgentRole(servertest.Tenant, "bbbbbbbbbbbbbbbb"))
	if _, err := r.fetch(1, all(1), 0); wire.Reason(err) != wire.ReasonNotAssigned {
		t.Errorf("another agent: %v", err)
	}
	r.client = r.dial(identity.AgentRole(servertest.Tenant, servertest.Agent))

	// The rate keeps the first stream busy.
	began := time.Now()
	busy := r.open(1, all(4), 0)
	for received := 0; received <= 1<<20; {
		res, err := busy.Recv()
		r.Must(err)
		for _, segment := range res.GetSegments() {
			received += len(segment.GetData())
		}
	}
	if passed := time.Since(began); passed < 500*time.Millisecond {
		t.Errorf("more than 1 MiB at 1 MiB/s came within %v", passed)
	}
	_, err := r.fetch(1, all(1), 0)
	if after, ok := wire.RetryAfter(err); wire.Reason(err) != wire.ReasonTryLater || !ok || after <= 0 {
		t.Errorf("a second stream: %v", err)
	}
	// A later process of the agent ends what the earlier one has open.
	later, err := r.Sequencer().OpenSession([16]byte{2})
	r.Must(err)
	r.Must(r.Sequencer().CheckSession(later))
	for err == nil {
		_, err = busy.Recv()
	}
	if wire.Reason(err) != wire.ReasonSuperseded {
		t.Errorf("the earlier process's stream: %v", err)
	}
}

// An agent that fetches the same again and again is stopped in the middle of a stream, and not for another manifest.
func TestFetchedTooOften(t *testing.T) {
	t.Parallel()
	r := newRig(t, contentrpc.Options{MaxTimesPerNight: 2})
	r.Write("large", string(make([]byte, 20<<20)), noon.Add(-time.Hour))
	r.Look(false, noon)
	r.Write("later", "x", noon.Add(time.Hour))
	r.Look(false, noon.Add(2*time.Hour))
	var err error
	fetched := 0
	for err == nil { // twice 20 MiB and 64 MiB of slack
		var items map[int64]*received
		items, err = r.fetch(1, all(1), 0)
		if items[0] != nil {
			fetched += len(items[0].data)
		}
	}
	if after, ok := wire.RetryAfter(err); wire.Reason(err) != wire.ReasonTooMuchFetched || !ok || after <= 0 {
		t.Errorf("after %d bytes: %v", fetched, err)
	}
	if fetched < 100<<20 || fetched > 104<<20 {
		t.Errorf("%d bytes were served, want 104 MiB at most", fetched)
	}
	_, err = r.fetch(1, all(1), 0)
	if wire.Reason(err) != wire.ReasonTooMuchFetched {
		t.Errorf("once more: %v", err)
	}
	items, err := r.fetch(2, all(1), 0)
	r.Must(err)
	r.expect(items, 2, 0)
}
