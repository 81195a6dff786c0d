package localdest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/localdest"
)

func TestDriver(t *testing.T) {
	desttest.Run(t, func(t *testing.T) desttest.Env {
		return newEnv(t, func(dir string) dest.Opener { return localdest.New(dir) })
	})
}

// newEnv makes an empty directory and opens it by open.
func newEnv(t *testing.T, open func(dir string) dest.Opener) desttest.Env {
	dir := filepath.Join(t.TempDir(), "nas")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return desttest.Env{
		Slow:       true,
		Opener:     open(dir),
		NewProcess: func() dest.Opener { return open(dir) },
		Plant: func(t *testing.T, name string, data []byte) {
			t.Helper()
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		},
		PlantOdd: func(t *testing.T, name string) {
			t.Helper()
			if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(name)), 0o755); err != nil {
				t.Fatal(err)
			}
		},
		FlipStaged: func(t *testing.T) { t.Helper(); flipStaged(t, dir) },
		Unplug: func(t *testing.T) func() {
			t.Helper()
			rename := func(from, to string) {
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
			rename(dir, dir+".away")
			return func() { rename(dir+".away", dir) }
		},
	}
}

// flipStaged flips one bit in every staged file, through the cache, as another program would.
func flipStaged(t *testing.T, dir string) {
	flipped := 0
	err := filepath.WalkDir(filepath.Join(dir, backup.OwnPrefix, "staging"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		flipped++
		at := len(data) / 2
		_, err = f.WriteAt([]byte{data[at] ^ 1}, int64(at))
		return err
	})
	if err != nil || flipped == 0 {
		t.Errorf("flipped a bit in %d staged files: %v", flipped, err)
	}
}

// place makes a directory, opens it as a destination, and returns both.
func place(t *testing.T) (string, *dest.Place) {
	t.Helper()
	dir := t.TempDir()
	store, err := dest.New(localdest.New(dir), dir, desttest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := store.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return dir, p
}

// publish stages and publishes data under names and returns the results by name.
func publish(t *testing.T, p *dest.Place, data []byte, names ...string) map[string]dest.Result {
	t.Helper()
	batch, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	for _, name := range names {
		file, err := batch.Stage(t.Context(), name, desttest.Digest(data))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := file.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := batch.Verify(t.Context()); err != nil {
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

// TestSweptStaging: what a killed process left is gone after the next one's sweep.
func TestSweptStaging(t *testing.T) {
	t.Parallel()
	dir, p := place(t)
	left := filepath.Join(dir, ".wolkvox", "staging", "deadbeef", "3")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(dir, ".wolkvox", ".head.tmp-0123456789abcdef")
	for _, path := range []string{filepath.Join(left, "half"), temp} {
		if err := os.WriteFile(path, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.SweepStaging(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(left), temp} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
	if err := p.CheckMarker(t.Context()); err != nil {
		t.Error(err)
	}
}
