package store

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

const testOrigin = ledger.Origin("wolkvox.com/backup/acme-1/nas/00112233445566778899aabbccddeeff")

var testTime = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

func testKey(t testing.TB, name, seed string) *ledger.SigningKey {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	key, err := ledger.NewSigningKey(name, ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// author makes the entries of one log as server and agent would. It keeps the log that it has made so far, and the same
// bytes come out of it each time.
type author struct {
	t      testing.TB
	fold   *ledger.Fold
	origin ledger.Origin
	server *ledger.SigningKey
	agent  *ledger.SigningKey
	now    time.Time
	lines  map[int64][][]byte // of each manifest
	leaves [][]byte
}

func newAuthor(t testing.TB, o ledger.Origin) *author {
	return &author{
		t: t, fold: ledger.NewFold(), origin: o, now: testTime, lines: map[int64][][]byte{},
		server: testKey(t, string(o), "server"), agent: testKey(t, o.AgentKeyName("0123456789abcdef"), "agent"),
	}
}

// leaf signs an entry without adding it.
func (a *author) leaf(body ledger.Body) []byte {
	a.t.Helper()
	key := a.server
	if body.Kind().IsReceipt() {
		key = a.agent
	}
	leaf, err := ledger.Sign(ledger.Entry{Origin: a.origin, Time: a.now, Body: body}, key)
	if err != nil {
		a.t.Fatalf("Sign(%+v): %v", body, err)
	}
	return leaf
}

// add signs an entry and adds it to the author's own log.
func (a *author) add(body ledger.Body) []byte {
	a.t.Helper()
	leaf := a.leaf(body)
	a.addLeaf(leaf)
	return leaf
}

func (a *author) addLeaf(leaf []byte) {
	a.t.Helper()
	if _, _, err := a.fold.Append(leaf); err != nil {
		a.t.Fatalf("Append: %v\n%s", err, leaf)
	}
	a.leaves = append(a.leaves, leaf)
	a.now = a.now.Add(time.Minute)
}

func (a *author) genesis() []byte {
	return a.add(ledger.Genesis{Storage: backup.StorageRSYNC, WindowDays: 15, ServerKey: a.server.Verifier()})
}

func (a *author) assign() []byte {
	a.t.Helper()
	request, err := ledger.SignRequest(a.origin, a.agent)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.add(ledger.Assigned{Request: request})
}

// makeLines makes the lines of a manifest of so many items.
func (a *author) makeLines(n, items int64) [][]byte {
	a.t.Helper()
	lines := make([][]byte, items)
	for i := range lines {
		lines[i] = testLine(a.t, n, int64(i))
	}
	a.lines[n] = lines
	return lines
}

func testLine(t testing.TB, n, i int64) []byte {
	t.Helper()
	path := fmt.Sprintf("2026/03/01/agent-%d/%08d.gsm", n, i)
	line, err := ledger.FormatLine(backup.Item{
		Path: path, Digest: backup.Digest{SHA256: sha256.Sum256([]byte(path)), SizeBytes: 1000 + i},
		Kind: backup.KindGSM, RecordedAt: testTime, Interaction: fmt.Sprintf("call-%d", i),
	})
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// longLines makes lines of about 12 KiB.
func longLines(t testing.TB, items int) [][]byte {
	t.Helper()
	lines := make([][]byte, items)
	for i := range lines {
		path := fmt.Sprintf("%04d.mp3", i)
		line, err := ledger.FormatLine(backup.Item{Path: path, SourcePath: strings.Repeat("é", 2000) + path, Kind: backup.KindMP3})
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = line
	}
	return lines
}

// sealed returns the body that seals lines as manifest n.
func (a *author) sealed(n int64, lines [][]byte) ledger.Sealed {
	a.t.Helper()
	c := ledger.NewManifestChecker()
	for _, line := range lines {
		if _, err := c.Add(line); err != nil {
			a.t.Fatal(err)
		}
	}
	return ledger.Sealed{Manifest: n, Root: c.Root(), Night: backup.DateOf(testTime), Items: c.Items(), Bytes: c.Bytes(), Deadline: testTime.AddDate(0, 0, 15)}
}

func (a *author) root(n int64) tlog.Hash { return a.fold.Manifests[n-1].Root }

// receipt returns what the next receipt about manifest n begins with.
func (a *author) receipt(n int64, indexes ledger.Set) ledger.Receipt {
	chain := a.fold.Chains[a.agent.Verifier()]
	return ledger.Receipt{Manifest: n, Root: a.root(n), Number: chain.Number + 1, Previous: chain.Last, Indexes: indexes}
}

func (a *author) delivered(n int64, indexes ledger.Set) ledger.Delivered {
	return ledger.Delivered{Receipt: a.receipt(n, indexes), Method: backup.ReadbackCached, Brought: ledger.BroughtAutomatic}
}

func openStore(t testing.TB, dir string, o Options) *DB {
	t.Helper()
	if o.Compactors == 0 {
		o.Compactors = -1
	}
	db, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !db.badger.IsClosed() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return db
}

func memoryLedger(t testing.TB) *Ledger {
	t.Helper()
	return openLedger(t, openStore(t, "", Options{InMemory: true}))
}

func openLedger(t testing.TB, db *DB) *Ledger {
	t.Helper()
	l, err := db.Ledger(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func stage(t testing.TB, l *Ledger, n int64, lines [][]byte) {
	t.Helper()
	w, err := l.StageManifest(n)
	must(t, err)
	for _, line := range lines {
		must(t, w.Add(line))
	}
	_, _, _, err = w.Commit()
	must(t, err)
}

func span(first, last int64) ledger.Set { return ledger.NewSet(ledger.Range{First: first, Last: last}) }

// checkWell fails where Verify finds anything, or another log than the author's.
func checkWell(t testing.TB, l *Ledger, a *author) {
	t.Helper()
	r, err := l.Verify(t.Context())
	must(t, err)
	if len(r.Problems) > 0 {
		t.Errorf("Verify: %s", strings.Join(r.Problems, "\n"))
	}
	if r.Size != a.fold.Size || r.Root != a.fold.Tree.Root() || r.Counts != a.fold.Total() {
		t.Errorf("Verify: size %d root %x counts %v, want %d %x %v", r.Size, r.Root[:], r.Counts, a.fold.Size, a.fold.Tree.Root(), a.fold.Total())
	}
}

// files collects an export.
type files map[string]*strings.Builder

func (f files) create(path string) (io.WriteCloser, error) {
	f[path] = &strings.Builder{}
	return nopCloser{f[path]}, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
