package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
)

const testOrigin = Origin("wolkvox.com/backup/acme-1/nas/00112233445566778899aabbccddeeff")

var testTime = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

// testKey returns the key with this name whose seed is the SHA-256 of seed.
func testKey(t testing.TB, name, seed string) *SigningKey {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	key, err := NewSigningKey(name, ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testAgentKey(t testing.TB, o Origin, seed string) *SigningKey {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	return testKey(t, o.AgentKeyName(fmt.Sprintf("%x", sum[:8])), seed)
}

// rawNote signs any text, canonical or not.
func rawNote(text string, keys ...*SigningKey) []byte {
	b := []byte(text + "\n")
	for _, key := range keys {
		b = key.appendSignature(b, []byte(text))
	}
	return b
}

// builder makes a valid log.
type builder struct {
	t      testing.TB
	fold   *Fold
	leaves [][]byte
	lines  map[int64][][]byte // of each manifest
	alarms []Alarm
	server *SigningKey
	agent  *SigningKey
	now    time.Time
}

// newBuilder begins a log with genesis.
func newBuilder(t testing.TB, o Origin) *builder {
	b := emptyBuilder(t, o)
	b.add(Genesis{backup.StorageRSYNC, 15, b.server.Verifier(), nil})
	return b
}

func emptyBuilder(t testing.TB, o Origin) *builder {
	return &builder{t: t, fold: NewFold(), lines: map[int64][][]byte{}, server: testKey(t, string(o), "server 1"), now: testTime}
}

func (b *builder) origin() Origin { return Origin(b.server.name) }

// keysOf returns the keys that must sign body now.
func (b *builder) keysOf(body Body) []*SigningKey {
	if body.Kind().IsReceipt() {
		return []*SigningKey{b.agent}
	}
	return []*SigningKey{b.server}
}

// leaf signs an entry without adding it.
func (b *builder) leaf(body Body, keys ...*SigningKey) []byte {
	b.t.Helper()
	if keys == nil {
		keys = b.keysOf(body)
	}
	leaf, err := Sign(Entry{b.origin(), b.now, body}, keys...)
	if err != nil {
		b.t.Fatalf("Sign(%+v): %v", body, err)
	}
	return leaf
}

func (b *builder) addLeaf(leaf []byte) {
	b.t.Helper()
	_, alarms, err := b.fold.Append(leaf)
	if err != nil {
		b.t.Fatalf("Append: %v\n%s", err, leaf)
	}
	b.alarms = append(b.alarms, alarms...)
	b.leaves = append(b.leaves, leaf)
	b.now = b.now.Add(time.Minute)
}

func (b *builder) add(body Body) {
	b.t.Helper()
	b.addLeaf(b.leaf(body))
}

func (b *builder) assign(seed string) {
	b.t.Helper()
	b.agent = testAgentKey(b.t, b.origin(), seed)
	request, err := SignRequest(b.origin(), b.agent)
	if err != nil {
		b.t.Fatal(err)
	}
	b.add(Assigned{request})
}

func (b *builder) rekey(seed string) {
	b.t.Helper()
	next := testKey(b.t, b.server.name, seed)
	b.addLeaf(b.leaf(Rekeyed{b.server.Verifier(), next.Verifier()}, b.server, next))
	b.server = next
}

// sealed returns the body that seals these items as the next manifest.
func (b *builder) sealed(items ...backup.Item) Sealed {
	b.t.Helper()
	n := int64(len(b.fold.Manifests)) + 1
	checker := NewManifestChecker()
	b.lines[n] = nil
	for _, it := range items {
		line, err := FormatLine(it)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := checker.Add(line); err != nil {
			b.t.Fatal(err)
		}
		b.lines[n] = append(b.lines[n], line)
	}
	return Sealed{Manifest: n, Root: checker.Root(), Night: backup.DateOf(b.now), Items: checker.Items(), Bytes: checker.Bytes(),
		Deadline: b.now.AddDate(0, 0, 15).Truncate(24 * time.Hour)}
}

func (b *builder) seal(items ...backup.Item) {
	b.t.Helper()
	b.add(b.sealed(items...))
}

func (b *builder) root(manifest int64) tlog.Hash { return b.fold.Manifests[manifest-1].Root }

// receipt returns the next receipt's common part.
func (b *builder) receipt(manifest int64, ranges ...Range) Receipt {
	chain := b.fold.Chains[b.agent.Verifier()]
	return Receipt{manifest, b.root(manifest), chain.Number + 1, chain.Last, NewSet(ranges...)}
}

func (b *builder) head() []byte {
	b.t.Helper()
	head, err := SignHead(Head{b.origin(), b.fold.Size, b.fold.Tree.Root()}, b.server)
	if err != nil {
		b.t.Fatal(err)
	}
	return head
}

func (b *builder) agreedHead() []byte {
	b.t.Helper()
	head, err := Cosign(b.head(), b.server.Verifier(), b.agent, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	return head
}

// proof proves the line at index as of the present head.
func (b *builder) proof(manifest, index int64) *Proof {
	b.t.Helper()
	path := NewAuditPath(index, int64(len(b.lines[manifest])))
	for _, line := range b.lines[manifest] {
		path.Add(LineHash(line))
	}
	linePath, ok := path.Path()
	if !ok {
		b.t.Fatal("the audit path is not complete")
	}
	p, err := NewProof(manifest, index, b.lines[manifest][index], linePath, entries(b.leaves), treeOf(b.t, b.leaves), b.agreedHead())
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// entries yields leaves as a store would.
func entries(leaves [][]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, leaf := range leaves {
			if !yield(leaf, nil) {
				return
			}
		}
	}
}

// treeOf reads the tree over leaves.
func treeOf(t testing.TB, leaves [][]byte) tlog.HashReader {
	t.Helper()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
	}
	return reader
}

func testItem(path string, size int64) backup.Item {
	return backup.Item{Path: path, Digest: backup.Digest{SHA256: sha256.Sum256([]byte(path)), SizeBytes: size}, Kind: backup.KindGSM,
		RecordedAt: testTime.Add(-6 * time.Hour), Interaction: "1700000000." + fmt.Sprint(size)}
}

// testItems returns n items in their order.
func testItems(prefix string, n int) []backup.Item {
	items := make([]backup.Item, n)
	for i := range items {
		items[i] = testItem(fmt.Sprintf("%s/call-%04d.gsm", prefix, i), int64(1000+i))
	}
	return items
}

// basicLog has genesis, an agent, manifest 1 with ten items, manifest 2 with three, and one receipt.
func basicLog(t testing.TB) *builder {
	b := newBuilder(t, testOrigin)
	b.assign("agent 1")
	b.seal(testItems("2026/02/28", 10)...)
	b.seal(testItems("2026/03/01", 3)...)
	b.add(Delivered{b.receipt(1, Range{0, 3}), backup.ReadbackUncached, BroughtAutomatic})
	return b
}

// oneOfEach returns one entry of every kind after genesis, each of which may follow b.
func (b *builder) oneOfEach() map[Kind][]byte {
	other := testKey(b.t, b.server.name, "server other")
	request, err := SignRequest(b.origin(), testAgentKey(b.t, b.origin(), "agent other"))
	if err != nil {
		b.t.Fatal(err)
	}
	interactions := int64(40)
	sealed := b.sealed(testItems("2026/03/02", 2)...)
	sealed.Interactions, sealed.Unrecorded = &interactions, []UnrecordedCount{{"abandoned", 12}, {"not-answered", 3}}
	sealed.SourceKeptUntil = b.now.AddDate(0, 1, 0)
	leaves := map[Kind][]byte{KindRekeyed: b.leaf(Rekeyed{b.server.Verifier(), other.Verifier()}, b.server, other)}
	for _, body := range []Body{
		Assigned{request}, sealed,
		Delivered{b.receipt(1, Range{4, 5}, Range{7, 9}), backup.ProviderSHA256Parts(8 << 20), BroughtByHand},
		Lost{b.receipt(1, Range{0, 0}), LostMissing},
		Waived{b.receipt(2, Range{0, 2}), WaivedDeclined},
		Released{b.receipt(1, Range{1, 2}), ReleasedRetention},
		Erased{b.receipt(1, Range{3, 3}), ErasedAbsent},
		Closed{1, b.root(1), Counts{backup.Confirmed: 4, backup.Expired: 6}},
		Extended{1, b.root(1), b.fold.Manifests[0].Deadline.AddDate(0, 0, 1), ExtendedOutage},
		Withdrawn{1, b.root(1), NewSet(Range{4, 4}), WithdrawnChanged, 3},
		Forgotten{1, b.root(1), NewSet(Range{0, 9})},
		Retired{RetiredMoved},
	} {
		leaves[body.Kind()] = b.leaf(body)
	}
	return leaves
}

// reasonOf returns why err refuses, "" where err is nil.
func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var refused *RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("%v is no RefusedError", err)
	}
	return refused.Reason
}

// textOf returns the text that the note's signatures are over.
func textOf(t testing.TB, leaf []byte) string {
	t.Helper()
	n, refused := parseNote(leaf)
	if refused != nil {
		t.Fatal(refused)
	}
	return string(n.text)
}

// replaced returns text with the only occurrence of before replaced.
func replaced(t testing.TB, text, before, after string) string {
	t.Helper()
	if strings.Count(text, before) != 1 {
		t.Fatalf("%q occurs %d times in\n%s", before, strings.Count(text, before), text)
	}
	return strings.Replace(text, before, after, 1)
}

func exported(t testing.TB, leaves [][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for i, leaf := range leaves {
		if err := AppendExported(&b, int64(i), leaf); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// hexHash is needed because a hash's own String is base64, also for the verb x.
func hexHash(h tlog.Hash) string { return string(appendHash(nil, h)) }
