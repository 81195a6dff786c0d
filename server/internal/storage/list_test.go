package storage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wolkvox/backup"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{Quota: func(string) (int64, error) { return 0, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func placeOf(t *testing.T, s *Store) *Place {
	t.Helper()
	p, err := s.Place("acme", "vault")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func put(t *testing.T, p *Place, name string, data []byte) {
	t.Helper()
	want := backup.Digest{SHA256: sha256.Sum256(data), SizeBytes: int64(len(data))}
	if err := p.Put(t.Context(), name, want, nil, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, p *Place, folder, after string) (names []string) {
	t.Helper()
	for file, err := range p.List(t.Context(), folder, after) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, file.Name)
	}
	return names
}

// A listing can begin behind any name, also one that is not there, and is the same then as the rest of the whole one.
func TestListResumes(t *testing.T) {
	t.Parallel()
	p := placeOf(t, open(t, t.TempDir()))
	if got := list(t, p, "", ""); len(got) != 0 {
		t.Errorf("an empty place lists %q", got)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	words := []string{"a", "a.b", "a-b", "aa", "b", "á", "a!"}
	word := func() string { return words[random.IntN(len(words))] }
	for range 60 {
		var name strings.Builder
		name.WriteString(word())
		for range random.IntN(4) {
			name.WriteString("/" + word())
		}
		want := backup.Digest{SHA256: sha256.Sum256(nil)}
		if err := p.Put(t.Context(), name.String(), want, nil, bytes.NewReader(nil)); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, ErrObstructed) {
			t.Fatal(err)
		}
	}
	put(t, p, Own("marker"), []byte("own"))
	all := list(t, p, "", "")
	if !slices.IsSortedFunc(all, compare) || len(all) < 5 || slices.ContainsFunc(all, IsOwn) {
		t.Fatalf("listed are %q", all)
	}
	for range 100 {
		var after strings.Builder
		after.WriteString(word())
		for range random.IntN(4) {
			after.WriteString("/" + word())
		}
		var want []string
		for _, name := range all {
			if compare(name, after.String()) > 0 {
				want = append(want, name)
			}
		}
		if got := list(t, p, "", after.String()); !slices.Equal(got, want) {
			t.Errorf("after %q are listed %q, want %q", after.String(), got, want)
		}
	}
}

// What a process was storing when it was killed is gone when the store is opened again, and does not count.
func TestOpenAfterKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := placeOf(t, open(t, dir))
	put(t, p, "a.gsm", []byte("stored"))
	b, err := p.Begin()
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("x"), 1000)
	if err := b.Stage(t.Context(), "b.gsm", backup.Digest{SHA256: sha256.Sum256(data), SizeBytes: 1000}, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if usage, err := again.Usage("acme"); err != nil || usage.UsedBytes != 6 {
		t.Errorf("usage = %+v, %v, want 6 bytes", usage, err)
	}
	if got := list(t, placeOf(t, again), "", ""); !slices.Equal(got, []string{"a.gsm"}) {
		t.Errorf("listed are %q", got)
	}
	if entries, err := filepath.Glob(filepath.Join(dir, "acme", "vault", "staging", "*")); err != nil || len(entries) != 0 {
		t.Errorf("staging holds %q, %v", entries, err)
	}
}

// Files that are damaged between being written and being read again never become visible.
func TestReadBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := placeOf(t, open(t, dir))
	b, err := p.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Discard()
	temp := filepath.Join("staging", "damaged")
	if err := os.WriteFile(filepath.Join(dir, "acme", "vault", temp), []byte("bad"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.compare(t.Context(), temp, backup.Digest{SHA256: sha256.Sum256([]byte("good")), SizeBytes: 4}); !errors.Is(err, ErrReadBack) {
		t.Errorf("compare = %v, want ErrReadBack", err)
	}
}

// A place of another tenant cannot be named.
func TestPlaceNames(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, name := range []string{"", "..", "../globex", "a/b", "a b", "A", "a\x00"} {
		if _, err := s.Place(name, "vault"); !errors.Is(err, ErrName) {
			t.Errorf("tenant %q: %v, want ErrName", name, err)
		}
		if _, err := s.Place("acme", name); !errors.Is(err, ErrName) {
			t.Errorf("destination %q: %v, want ErrName", name, err)
		}
	}
}

// The reserve of the volume stays free.
func TestReserve(t *testing.T) {
	t.Parallel()
	s, err := Open(t.TempDir(), Options{Quota: func(string) (int64, error) { return 0, nil }, ReserveBytes: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	p := placeOf(t, s)
	err = p.Put(t.Context(), "a.gsm", backup.Digest{SHA256: sha256.Sum256(nil)}, nil, bytes.NewReader(nil))
	if !errors.Is(err, ErrFull) {
		t.Errorf("Put below the reserve = %v, want ErrFull", err)
	}
	if usage, err := s.Usage("acme"); err != nil || usage.FreeBytes != 0 || usage.UsedBytes != 0 {
		t.Errorf("usage = %+v, %v, want nothing free", usage, err)
	}
}
