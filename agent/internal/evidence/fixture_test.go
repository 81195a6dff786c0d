package evidence_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/evidence"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

const origin = ledger.Origin("wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")

var at = time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)

// fixture is a log that a test appends to as both sides do.
type fixture struct {
	t             testing.TB
	log           *store.Ledger
	server, agent *ledger.SigningKey
	last          []byte // the last receipt
	number        int64
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	db, err := store.Open("", store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	log, err := db.Ledger(origin)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, log: log, server: key(t, string(origin), "server"), agent: key(t, origin.AgentKeyName("0123456789abcdef"), "agent")}
	request, err := ledger.SignRequest(origin, f.agent)
	if err != nil {
		t.Fatal(err)
	}
	f.append(ledger.Genesis{Storage: backup.StorageRSYNC, WindowDays: 15, ServerKey: f.server.Verifier()}, f.server)
	f.append(ledger.Assigned{Request: request}, f.server)
	return f
}

func key(t testing.TB, name, seed string) *ledger.SigningKey {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	k, err := ledger.NewSigningKey(name, ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (f *fixture) append(body ledger.Body, by *ledger.SigningKey) {
	f.t.Helper()
	leaf, err := ledger.Sign(ledger.Entry{Origin: origin, Time: at, Body: body}, by)
	if err == nil {
		err = f.log.Append(leaf)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	if _, ok := ledger.ReceiptOf(body); ok {
		f.last = leaf
	}
}

// seal seals a manifest whose recordings have their own paths as contents.
func (f *fixture) seal(day int, paths ...string) (manifest int64) {
	f.t.Helper()
	f.log.View(func(log *ledger.Log) { manifest = int64(len(log.Manifests)) + 1 })
	writer, err := f.log.StageManifest(manifest)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, path := range paths {
		line, err := ledger.FormatLine(backup.Item{Path: path, Kind: backup.KindGSM,
			Digest: backup.Digest{SHA256: sha256.Sum256([]byte(path)), SizeBytes: int64(len(path))}})
		if err == nil {
			err = writer.Add(line)
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
	root, items, sizeBytes, err := writer.Commit()
	if err != nil {
		f.t.Fatal(err)
	}
	f.append(ledger.Sealed{Manifest: manifest, Root: root, Night: backup.Date{Year: 2026, Month: 11, Day: day}, Items: items, Bytes: sizeBytes,
		Deadline: at.AddDate(0, 0, 15)}, f.server)
	return manifest
}

func (f *fixture) receipt(manifest int64, indexes string) ledger.Receipt {
	f.t.Helper()
	set, err := ledger.ParseSet(indexes)
	if err != nil {
		f.t.Fatal(err)
	}
	r := ledger.Receipt{Manifest: manifest, Root: f.root(manifest), Number: f.number + 1, Indexes: set}
	if f.last != nil {
		r.Previous = sha256.Sum256(f.last)
	}
	f.number++
	return r
}

func (f *fixture) root(manifest int64) (root tlog.Hash) {
	f.log.View(func(log *ledger.Log) { root = log.Manifests[manifest-1].Root })
	return root
}

func (f *fixture) delivered(manifest int64, indexes string) {
	f.t.Helper()
	f.append(ledger.Delivered{Receipt: f.receipt(manifest, indexes), Method: backup.ReadbackUncached, Brought: ledger.BroughtAutomatic}, f.agent)
}

func (f *fixture) lost(manifest int64, indexes string) {
	f.t.Helper()
	f.append(ledger.Lost{Receipt: f.receipt(manifest, indexes), Finding: ledger.LostMissing}, f.agent)
}

// agree lets both sides sign the head.
func (f *fixture) agree() int64 {
	f.t.Helper()
	size, root := f.log.Position()
	head, err := ledger.SignHead(ledger.Head{Origin: origin, Size: size, Root: root}, f.server)
	if err == nil {
		head, err = ledger.Cosign(head, f.server.Verifier(), f.agent, at)
	}
	if err == nil {
		err = f.log.PutAgreed(head)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return size
}

// files is a folder on a disk in memory. Nothing may be written twice. It fails at one call.
type files struct {
	t     testing.TB
	place *dest.Place
	disk  *memdest.Disk
	fail  int // the write that fails, counted from 1; 0 for none
	done  bool
	count int
}

var errPower = errors.New("the power is gone")

func newFiles(t testing.TB) *files {
	t.Helper()
	f := &files{t: t, disk: memdest.New()}
	place, err := dest.New(f.disk, "memory", string(origin))
	if err == nil {
		_, err = place.Init(t.Context())
	}
	if err == nil {
		f.place, err = place.Open(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.place.Close() })
	return f
}

func name(n string) dest.OwnFile { return dest.OwnFile(evidence.Folder(origin) + "/" + n) }

func (f *files) Read(ctx context.Context, n string) ([]byte, error) {
	return f.place.ReadOwn(ctx, name(n))
}

func (f *files) Write(ctx context.Context, n string, data []byte) error {
	if _, err := f.Read(ctx, n); !errors.Is(err, fs.ErrNotExist) {
		f.t.Errorf("%s is written although it is there: %v", n, err)
	}
	if len(data) > dest.MaxOwnBytes {
		f.t.Errorf("%s has %d bytes", n, len(data))
	}
	f.count++
	if f.count == f.fail && !f.done {
		return errPower
	}
	err := f.place.WriteOwn(ctx, name(n), data)
	if f.count == f.fail {
		return errPower
	}
	return err
}

// all returns the evidence by name.
func (f *files) all() map[string]string {
	all := make(map[string]string)
	for n, data := range f.disk.Files() {
		if n, ok := strings.CutPrefix(n, ".wolkvox/"+evidence.Folder(origin)+"/"); ok {
			all[n] = string(data)
		}
	}
	return all
}

// checkText compares the pieces of the log and of manifests with an export of the log.
func (f *files) checkText(log *store.Ledger) {
	f.t.Helper()
	all := f.all()
	joined := make(map[string]string)
	for _, n := range slices.Sorted(maps.Keys(all)) {
		switch kind, _, _ := strings.Cut(n, "/"); kind {
		case "ledger":
			joined["ledger.txt"] += all[n]
		case "manifests":
			joined[n[:strings.LastIndex(n, "/")]+".txt"] += all[n]
		}
	}
	err := log.Export(func(path string) (io.WriteCloser, error) { return &wanted{f: f, path: path, got: joined}, nil })
	if err != nil {
		f.t.Fatal(err)
	}
}

type wanted struct {
	bytes.Buffer
	f    *files
	path string
	got  map[string]string
}

func (w *wanted) Close() error {
	if w.path != ledger.ExportedHead && w.String() != w.got[w.path] {
		w.f.t.Errorf("%s is %d bytes, exported are %d", w.path, len(w.got[w.path]), w.Len())
	}
	return nil
}

// sums returns what the SHA256SUMS of a night at a size lists: the recordings, and the files of the evidence.
func (f *files) sums(day int, size int64) (recordings, own []string) {
	f.t.Helper()
	folder := fmt.Sprintf("nights/2026-11-%02d/%010d/", day, size)
	all := f.all()
	for _, n := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(n, folder) {
			continue
		}
		for line := range strings.Lines(all[n]) {
			sum, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
			contents, isOwn := strings.CutPrefix(path, ".wolkvox/"+evidence.Folder(origin)+"/")
			if isOwn {
				own = append(own, contents)
				if _, finished := all[fmt.Sprintf("heads/%010d.txt", size)]; !finished {
					continue
				}
				contents = all[contents]
			} else {
				recordings = append(recordings, path)
				contents = path
			}
			if want := sha256.Sum256([]byte(contents)); !ok || sum != hex.EncodeToString(want[:]) {
				f.t.Errorf("%s: %q is not the sum", n, line)
			}
		}
	}
	return recordings, own
}

func wantList(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s lists %q, want %q", what, got, want)
	}
}
