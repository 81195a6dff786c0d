//go:build peers

package smbdest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/smbdest"
	"github.com/wolkvox/backup/internal/peertest/samba"
)

func newStore(t testing.TB, opener dest.Opener) *dest.Store {
	t.Helper()
	store, err := dest.New(opener, "the share", desttest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func initialised(t testing.TB, opener dest.Opener) *dest.Store {
	t.Helper()
	store := newStore(t, opener)
	if _, err := store.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

func openPlace(t testing.TB, store *dest.Store) *dest.Place {
	t.Helper()
	place, err := store.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { place.Close() })
	return place
}

// stageOpen stages a file with all of its contents written.
func stageOpen(t testing.TB, batch *dest.Batch, name string, data []byte) *dest.Staged {
	t.Helper()
	file, err := batch.Stage(t.Context(), name, desttest.Digest(data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	return file
}

// publish takes data through a batch under each of names, and returns the results by name.
func publish(t *testing.T, place *dest.Place, data []byte, names ...string) map[string]dest.Result {
	t.Helper()
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	for _, name := range names {
		if err := stageOpen(t, batch, name, data).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(batch.Sync(t.Context()), batch.Verify(t.Context())); err != nil {
		t.Fatal(err)
	}
	results, err := batch.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]dest.Result)
	for _, r := range results {
		byName[r.Name] = r
	}
	return byName
}

// TestDemandingServers: a server that demands encryption, and one that demands signatures.
func TestDemandingServers(t *testing.T) {
	t.Parallel()
	for what, o := range map[string]samba.Options{"encryption": {Encrypt: true}, "signatures": {Sign: true}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			server := samba.Start(t, o)
			place := openPlace(t, initialised(t, smbdest.New(options(server, ""))))
			plant(t, server.Dir, "taken.gsm", []byte("theirs"))
			data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
			results := publish(t, place, data, "a/b/c.gsm", "d.gsm", "taken.gsm")
			if err := errors.Join(results["a/b/c.gsm"].Err, results["d.gsm"].Err); err != nil {
				t.Error(err)
			}
			if r := results["d.gsm"]; r.Method != backup.ReadbackCached {
				t.Errorf("the method is %v: what the server has in its cache is not passed", r.Method)
			}
			if err := results["taken.gsm"].Err; !errors.Is(err, dest.ErrConflict) {
				t.Errorf("a taken name: %v", err)
			}
			for name, want := range map[string][]byte{"a/b/c.gsm": data, "d.gsm": data, "taken.gsm": []byte("theirs")} {
				if got, err := os.ReadFile(filepath.Join(server.Dir, name)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s has %d bytes, %v", name, len(got), err)
				}
			}
			if err := place.WriteOwn(t.Context(), dest.Head, data[:100]); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	server := samba.Start(t, samba.Options{})
	place := openPlace(t, initialised(t, smbdest.New(options(server, ""))))
	names := []string{
		"2026/señal ñandú/größe/é.gsm",
		"日本語/😀.wav",
		strings.Repeat("a long folder's name, with a comma/", 20) + "x.gsm",
		strings.Repeat("y", 196) + ".gsm",
	}
	for name, r := range publish(t, place, []byte("data"), names...) {
		if r.Err != nil {
			t.Errorf("%q: %v", name, r.Err)
		}
		if got, err := os.ReadFile(filepath.Join(server.Dir, name)); string(got) != "data" {
			t.Errorf("%q holds %q, %v", name, got, err)
		}
	}
	found, err := place.Hash(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Err != nil || f.Digest != desttest.Digest([]byte("data")) {
			t.Errorf("Hash of %q: %+v", f.Name, f)
		}
	}
	if r := publish(t, place, []byte("other"), strings.ToUpper(names[0]))[strings.ToUpper(names[0])]; !errors.Is(r.Err, dest.ErrConflict) {
		t.Errorf("the same name in capitals: %+v, want a conflict", r)
	}
}

// TestLinks: Samba follows links within the share and hides those that lead out of it.
func TestLinks(t *testing.T) {
	t.Parallel()
	server := samba.Start(t, samba.Options{})
	place := openPlace(t, initialised(t, smbdest.New(options(server, ""))))
	outside := t.TempDir()
	plant(t, outside, "file", []byte("outside"))
	for link, target := range map[string]string{"file": filepath.Join(outside, "file"), "folder": outside, "nowhere": "nothing"} {
		if err := os.Symlink(target, filepath.Join(server.Dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, r := range publish(t, place, []byte("data"), "file", "folder/new", "nowhere", "nowhere/new", "fine") {
		if (r.Err == nil) != (name == "fine") {
			t.Errorf("publish %q: %v", name, r.Err)
		}
	}
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder outside holds %v, %v", entries, err)
	}
	if got, err := os.ReadFile(filepath.Join(outside, "file")); string(got) != "outside" {
		t.Errorf("the file outside holds %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(server.Dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link that leads nowhere was followed: %v", err)
	}
}
