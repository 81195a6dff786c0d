package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

const testOrigin = "wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testKey(t testing.TB, name, seed string) *ledger.SigningKey {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	key, err := ledger.NewSigningKey(name, ed25519.NewKeyFromSeed(sum[:]))
	check(t, err)
	return key
}

// branch is a log of any leaves.
type branch struct {
	hashes []tlog.Hash // as tlog numbers them
	size   int64
}

// ReadHashes implements [tlog.HashReader].
func (b *branch) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = b.hashes[index]
	}
	return found, nil
}

func (b *branch) grow(t testing.TB, leaf string) {
	t.Helper()
	hashes, err := tlog.StoredHashes(b.size, []byte(leaf), b)
	check(t, err)
	b.hashes, b.size = append(b.hashes, hashes...), b.size+1
}

// grown is a log of so many leaves; from the given one on they are another branch's.
func grown(t testing.TB, size, other int64) *branch {
	t.Helper()
	b := &branch{}
	for b.size < size {
		b.grow(t, fmt.Sprint(b.size, b.size >= other))
	}
	return b
}

func (b *branch) root(t testing.TB, size int64) tlog.Hash {
	t.Helper()
	if size == 0 {
		return ledger.EmptyRoot()
	}
	root, err := tlog.TreeHash(size, b)
	check(t, err)
	return root
}

func (b *branch) text(t testing.TB, origin string, size int64) string {
	t.Helper()
	root := b.root(t, size)
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
}

// submission is what is posted for a size, from an old one, with a proof where there is one.
func (b *branch) submission(t testing.TB, old, size int64) string {
	t.Helper()
	head := signed(t, b.text(t, testOrigin, size), "server")
	var proof strings.Builder
	if 0 < old && old < size {
		hashes, err := tlog.ProveTree(size, old, b)
		check(t, err)
		for _, h := range hashes {
			proof.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
		}
	}
	return fmt.Sprintf("old %d\n%s\n%s", old, proof.String(), head)
}

// signed signs a text as a note by the keys of these seeds.
func signed(t testing.TB, text string, seeds ...string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(text + "\n")
	for _, seed := range seeds {
		sum := sha256.Sum256([]byte(seed))
		private := ed25519.NewKeyFromSeed(sum[:])
		id := sha256.Sum256(append([]byte(testOrigin+"\n\x01"), private.Public().(ed25519.PublicKey)...))
		b.WriteString("— " + testOrigin + " " + base64.StdEncoding.EncodeToString(append(id[:4:4], ed25519.Sign(private, []byte(text))...)) + "\n")
	}
	return b.String()
}

// rig is a witness that serves.
type rig struct {
	url  string
	key  ledger.WitnessKey
	stop func()
}

func serve(t testing.TB, dir string) *rig {
	t.Helper()
	verifier, err := note.NewVerifier(string(testKey(t, testOrigin, "server").Verifier()))
	check(t, err)
	key := testKey(t, "witness.example/w1", "witness")
	w, err := Open(dir, key, []Log{{Origin: testOrigin, Keys: []note.Verifier{verifier}}})
	check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.Serve(ctx, listener, slog.New(slog.DiscardHandler)) }()
	stop := sync.OnceFunc(func() { cancel(); check(t, <-served) })
	t.Cleanup(stop)
	return &rig{"http://" + listener.Addr().String(), key.WitnessKey(), stop}
}

func (r *rig) post(t testing.TB, body string) (status int, answer string, contentType string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Post(r.url+"/add-checkpoint", "text/plain", strings.NewReader(body))
	check(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	check(t, err)
	return response.StatusCode, string(text), response.Header.Get("Content-Type")
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := serve(t, dir)
	log, fork := grown(t, 40, 99), grown(t, 40, 10)
	good := log.submission(t, 20, 33)
	head := signed(t, log.text(t, testOrigin, 33), "server")
	steps := []struct {
		name   string
		body   string
		status int
	}{
		{"no first line", "\n" + head, 400},
		{"no old size", "new 0\n\n" + head, 400},
		{"an old size with a zero in front", "old 00\n\n" + head, 400},
		{"a negative old size", "old -1\n\n" + head, 400},
		{"no empty line", "old 0\n", 400},
		{"no checkpoint", "old 0\n\n", 400},
		{"a proof that is no hash", "old 0\nabc\n\n" + head, 400},
		{"too many hashes", "old 0\n" + strings.Repeat(base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n", 64) + "\n" + head, 400},
		{"no signature", "old 0\n\n" + log.text(t, testOrigin, 33), 400},
		{"a root that is short", "old 0\n\n" + signed(t, testOrigin+"\n33\nAAAA\n", "server"), 400},
		{"a size that is none", "old 0\n\n" + signed(t, testOrigin+"\n3x\n"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n", "server"), 400},
		{"more than is read", "old 0\n\n" + head + strings.Repeat("x", maxBodyBytes), 400},
		{"another log", "old 0\n\n" + signed(t, log.text(t, testOrigin+"/x", 33), "server"), 404},
		{"another key", "old 0\n\n" + signed(t, log.text(t, testOrigin, 33), "stranger"), 403},
		{"a signature that does not verify", "old 0\n\n" + strings.Replace(head, "\n33\n", "\n34\n", 1), 403},
		{"an old size above the checkpoint's", "old 34\n\n" + head, 400},
		{"an old size where nothing was cosigned", good, 409},
		{"a proof from nothing", strings.Replace(good, "old 20", "old 0", 1), 422},
		{"the first", log.submission(t, 0, 20), 200},
		{"the first again", log.submission(t, 20, 20), 200},
		{"the same size of a fork", fork.submission(t, 20, 20), 409},
		{"the same size with a proof", strings.Replace(log.submission(t, 20, 20), "old 20\n", "old 20\n"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n", 1), 422},
		{"from nothing again", log.submission(t, 0, 33), 409},
		{"from a size in between", log.submission(t, 10, 33), 409},
		{"a fork", fork.submission(t, 20, 33), 422},
		{"without its proof", "old 20\n\n" + head, 422},
		{"with a hash too many", strings.Replace(good, "\n\n", "\n"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n\n", 1), 422},
		{"the next", good, 200},
		{"an earlier one", log.submission(t, 20, 25), 409},
		{"signed by another key too", "old 33\n" + strings.SplitN(log.submission(t, 33, 40), "\n\n", 2)[0][len("old 33\n"):] + "\n\n" + signed(t, log.text(t, testOrigin, 40), "stranger", "server"), 200},
	}
	known := int64(0)
	for _, s := range steps {
		status, answer, contentType := r.post(t, s.body)
		if status != s.status {
			t.Fatalf("%s: status %d, %q, want %d", s.name, status, answer, s.status)
		}
		switch status {
		case 200:
			text, _, _ := strings.Cut(s.body[strings.Index(s.body, "\n\n")+2:], "\n\n")
			if _, err := ledger.OpenWitnessed([]byte(answer), []byte(text+"\n"), r.key); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
			fmt.Sscan(strings.Split(text, "\n")[1], &known)
		case 409:
			if answer != fmt.Sprintf("%d\n", known) || contentType != "text/x.tlog.size" {
				t.Errorf("%s: %q as %s, want %d", s.name, answer, contentType, known)
			}
		}
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*.fork")); err != nil || len(names) != 1 {
		t.Errorf("the fork that was refused is not kept: %v, %v", names, err)
	}
	for _, c := range []struct{ method, path string }{{"GET", "/add-checkpoint"}, {"POST", "/"}, {"POST", "/add-checkpoint/x"}} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, r.url+c.path, strings.NewReader(good))
		check(t, err)
		response, err := http.DefaultClient.Do(request)
		check(t, err)
		response.Body.Close()
		if response.StatusCode != 404 && response.StatusCode != 405 {
			t.Errorf("%s %s: %s", c.method, c.path, response.Status)
		}
	}
}

// TestNeverAFork submits the heads of two branches at random, many at once and over restarts: all that was ever cosigned is one
// history.
func TestNeverAFork(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	branches := []*branch{grown(t, 60, 99), grown(t, 60, 20)}
	dir := t.TempDir()
	var cosigned sync.Map // by size, the root
	for range 5 {
		r := serve(t, dir)
		var work sync.WaitGroup
		for range 60 {
			b, old, size := branches[random.IntN(2)], random.Int64N(60), 1+random.Int64N(60)
			work.Go(func() {
				status, answer, _ := r.post(t, b.submission(t, min(old, size), size))
				if status == http.StatusConflict { // try again with what is known
					known := int64(0)
					fmt.Sscan(answer, &known)
					if known > size {
						return
					}
					status, _, _ = r.post(t, b.submission(t, known, size))
				}
				if status == http.StatusOK {
					if before, loaded := cosigned.LoadOrStore(size, b.root(t, size)); loaded && before != b.root(t, size) {
						t.Errorf("two heads of size %d are cosigned", size)
					}
				}
			})
		}
		work.Wait()
		r.stop()
	}
	count := [2]int{}
	cosigned.Range(func(size, root any) bool {
		for i, b := range branches {
			if b.root(t, size.(int64)) == root && size.(int64) > 20 {
				count[i]++
			}
		}
		return true
	})
	if count[0] > 0 && count[1] > 0 {
		t.Errorf("heads of both branches are cosigned: %v", count)
	}
}

func TestStateIsNeverForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := serve(t, dir)
	log := grown(t, 10, 99)
	if status, _, _ := r.post(t, log.submission(t, 0, 10)); status != 200 {
		t.Fatal(status)
	}
	r.stop()
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	text, err := os.ReadFile(names[0])
	check(t, err)
	verifier, err := note.NewVerifier(string(testKey(t, testOrigin, "server").Verifier()))
	check(t, err)
	logs := []Log{{Origin: testOrigin, Keys: []note.Verifier{verifier}}}
	for name, damaged := range map[string][]byte{"empty": {}, "cut": text[:40], "of another log": bytes.Replace(text, []byte("/acme/"), []byte("/acne/"), 1)} {
		check(t, os.WriteFile(names[0], damaged, 0o600))
		if _, err := Open(dir, testKey(t, "w", "witness"), logs); err == nil {
			t.Errorf("%s: the witness begins anew", name)
		}
	}
}

func FuzzSubmission(f *testing.F) {
	log := grown(f, 9, 99)
	f.Add([]byte(log.submission(f, 4, 9)))
	f.Add([]byte("old 0\n\n" + signed(f, log.text(f, testOrigin, 9), "server")))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseSubmission(body)
		if err != nil {
			return
		}
		again := fmt.Appendf(nil, "old %d\n", s.old)
		for _, h := range s.proof {
			again = append(base64.StdEncoding.AppendEncode(again, h[:]), '\n')
		}
		if again = append(append(again, '\n'), s.note...); !bytes.Equal(again, body) {
			t.Errorf("%q is read as %q", body, again)
		}
		if c, err := parseCheckpoint(checkpointText(s.note)); err == nil && (c.size < 0 || c.origin == "") {
			t.Errorf("%+v", c)
		}
	})
}

func TestCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "witness.yaml")
	write := func(text string) { check(t, os.WriteFile(config, []byte(text), 0o600)) }
	do := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		status := Main(t.Context(), append([]string{"-config", config}, args...), &out, &errs)
		return status, out.String(), errs.String()
	}
	good := "name: witness.example/w1\nstate_dir: '" + filepath.Join(dir, "state") + "'\nlisten: 127.0.0.1:0\nlogs:\n  - origin: " + testOrigin + "\n    keys: ['" + string(testKey(t, testOrigin, "server").Verifier()) + "']\n"
	write(good)
	if status, _, errs := do("key"); status != statusBad || !strings.Contains(errs, "init") {
		t.Errorf("without a key: %d, %q", status, errs)
	}
	status, key, errs := do("init")
	if _, err := ledger.ParseWitnessKey(strings.TrimSpace(key)); status != statusGood || err != nil {
		t.Fatalf("init: %d, %q, %v", status, errs, err)
	}
	if status, again, _ := do("key"); status != statusGood || again != key {
		t.Errorf("key: %d, %q", status, again)
	}
	if status, _, errs := do("init"); status != statusBad || !strings.Contains(errs, "not empty") {
		t.Errorf("init again: %d, %q", status, errs)
	}
	write(strings.Replace(good, "/w1", "/w2", 1))
	if status, _, errs := do("run"); status != statusBad || !strings.Contains(errs, "w2") {
		t.Errorf("under another name: %d, %q", status, errs)
	}
	for _, bad := range []string{"", "name: a b\n", strings.Replace(good, "state_dir: '", "state_dir: '.", 1), good + "x: 1\n", strings.Replace(good, "keys: ['", "keys: ['x", 1), strings.Replace(good, "0.0.1:0", "0.0.1", 1)} {
		write(bad)
		if status, _, _ := do("run"); status != statusBad {
			t.Errorf("%q: %d", bad, status)
		}
	}
	for _, args := range [][]string{nil, {"walk"}, {"key", "x"}, {"-x"}} {
		if status, _, _ := do(args...); status != statusUsage {
			t.Errorf("%v: %d", args, status)
		}
	}
}
