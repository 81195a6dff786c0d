package witnesses

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

const testOrigin = ledger.Origin("wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testKey(t *testing.T, name string) *ledger.SigningKey {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	key, err := ledger.NewSigningKey(name, ed25519.NewKeyFromSeed(seed[:]))
	check(t, err)
	return key
}

// fakeLog is a log of any leaves, agreed up to its end.
type fakeLog struct {
	t      *testing.T
	hashes []tlog.Hash
	size   int64
	agreed []byte
}

func (l *fakeLog) Origin() ledger.Origin { return testOrigin }
func (l *fakeLog) Agreed() []byte        { return l.agreed }

func (l *fakeLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = l.hashes[index]
	}
	return found, nil
}

func (l *fakeLog) grow(leaves ...string) {
	l.t.Helper()
	for _, leaf := range leaves {
		hashes, err := tlog.StoredHashes(l.size, []byte(leaf), l)
		check(l.t, err)
		l.hashes, l.size = append(l.hashes, hashes...), l.size+1
	}
	root, err := tlog.TreeHash(l.size, l)
	check(l.t, err)
	server := testKey(l.t, string(testOrigin))
	head, err := ledger.SignHead(ledger.Head{Origin: testOrigin, Size: l.size, Root: root}, server)
	check(l.t, err)
	l.agreed, err = ledger.Cosign(head, server.Verifier(), testKey(l.t, testOrigin.AgentKeyName("0123456789abcdef")), noon)
	check(l.t, err)
}

// fakeWitness keeps to tlog-witness, and checks that what it is sent does.
type fakeWitness struct {
	t     *testing.T
	key   *ledger.SigningKey
	mu    sync.Mutex
	size  int64
	root  tlog.Hash
	calls int
	lie   func(line []byte) []byte // what it answers instead of a signature; nil for nothing
}

func (f *fakeWitness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	body, err := io.ReadAll(r.Body)
	first, note, ok := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(first), "\n")
	var old int64
	n, err2 := fmt.Sscanf(lines[0], "old %d", &old)
	h, _, err3 := ledger.ParseHead(note)
	if r.Method != http.MethodPost || r.URL.Path != "/w/add-checkpoint" || err != nil || !ok || n != 1 || err2 != nil || err3 != nil {
		f.t.Errorf("%s %s: %q", r.Method, r.URL, body)
	}
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		check(f.t, err)
		proof = append(proof, tlog.Hash(hash))
	}
	switch {
	case old != f.size || old == h.Size && h.Root != f.root:
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%d\n", f.size)
		return
	case 0 < old && old < h.Size && tlog.CheckTree(proof, h.Size, h.Root, f.size, f.root) != nil:
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	f.size, f.root = h.Size, h.Root
	line := f.key.CosignAsWitness(checkpointText(note), noon)
	if f.lie != nil {
		line = f.lie(line)
	}
	w.Write(append([]byte("— stranger.example AAAAAAAA\n"), line...))
}

func TestRound(t *testing.T) {
	t.Parallel()
	fake := &fakeWitness{t: t, key: testKey(t, "witness.example/w1")}
	server := httptest.NewServer(fake)
	defer server.Close()
	log := &fakeLog{t: t}
	witness := Witness{server.URL + "/w/", fake.key.WitnessKey()}
	w := New(Options{Dir: t.TempDir() + "/witnesses", Witnesses: []Witness{witness}, Logs: func() []Log { return []Log{log} }, Logger: slog.New(slog.DiscardHandler)})
	round := func(calls int, size int64) {
		t.Helper()
		before := fake.calls
		w.Round(t.Context(), witness)
		if got := fake.calls - before; got != calls {
			t.Errorf("%d calls, want %d", got, calls)
		}
		text, err := w.Witnessed(testOrigin)
		check(t, err)
		if size == 0 {
			if len(text) != 0 {
				t.Errorf("witnessed %q", text)
			}
			return
		}
		var length int
		if _, err := fmt.Sscanf(string(text), "witness %d\n", &length); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		_, note, _ := bytes.Cut(text, []byte{'\n'})
		h, _, err := ledger.ParseHead(serverSigned(note))
		if err != nil || len(note) != length || h.Size != size {
			t.Errorf("witnessed %q: %v", text, err)
		}
		if _, err := ledger.OpenHead(serverSigned(note), testKey(t, string(testOrigin)).Verifier()); err != nil {
			t.Error(err)
		}
		if _, err := ledger.OpenWitnessed(note[len(serverSigned(note)):], checkpointText(note), witness.Key); err != nil {
			t.Error(err)
		}
	}
	round(0, 0) // nothing is agreed
	log.grow("a", "b", "c")
	round(1, 3)
	round(0, 3) // signed already
	log.grow("d", "e")
	round(1, 5)
	// What was kept is lost: the witness says what it has signed.
	w.Dir = t.TempDir()
	round(2, 5)
	log.grow("f")
	w.Dir = t.TempDir()
	round(2, 6)
	// A server that went back in time, or tells another history, gets nothing signed.
	kept := log.size
	fork := &fakeLog{t: t}
	fork.grow("a", "b")
	w.Logs = func() []Log { return []Log{fork} }
	round(1, kept)
	if err := w.cosign(t.Context(), witness, fork); err == nil || !strings.Contains(err.Error(), "another history") {
		t.Errorf("a log that was cut: %v", err)
	}
	for fork.size < kept+2 {
		fork.grow("x")
	}
	round(1, kept)
	server.Close()
	if err := w.cosign(t.Context(), witness, fork); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("a witness that is gone: %v", err)
	}
}

// An answer without the signature that was asked for is none.
func TestAnswersWithoutSignature(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func([]byte) []byte{
		"nothing":         func([]byte) []byte { return nil },
		"without its end": func(line []byte) []byte { return line[:len(line)-1] },
		"another name":    func(line []byte) []byte { return bytes.Replace(line, []byte("w1"), []byte("w2"), 1) },
	} {
		fake := &fakeWitness{t: t, key: testKey(t, "witness.example/w1"), lie: lie}
		server := httptest.NewServer(fake)
		log := &fakeLog{t: t}
		log.grow("a")
		witness := Witness{server.URL + "/w", fake.key.WitnessKey()}
		w := New(Options{Dir: t.TempDir(), Witnesses: []Witness{witness}, Logs: func() []Log { return []Log{log} }, Logger: slog.New(slog.DiscardHandler)})
		w.Round(t.Context(), witness)
		if text, err := w.Witnessed(testOrigin); err != nil || len(text) != 0 {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		server.Close()
	}
}
