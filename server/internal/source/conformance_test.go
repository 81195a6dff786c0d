package source_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/server/internal/source"
	"github.com/wolkvox/backup/server/internal/source/sourcetest"
)

// directory is a directory tree that can be taken away as a whole.
type directory struct{ path string }

func TestConformance(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) sourcetest.Place {
		d := directory{filepath.Join(t.TempDir(), "source")}
		if err := os.Mkdir(d.path, 0o755); err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func (d directory) Open(*testing.T) (source.Driver, error) { return source.OpenFolder(d.path) }

func (d directory) Write(t *testing.T, name, contents string) {
	path := filepath.Join(d.path, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	os.Remove(path) // a marker cannot be written to
	if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (d directory) Remove(t *testing.T, name string) {
	if err := os.Remove(filepath.Join(d.path, name)); err != nil {
		t.Fatal(err)
	}
}

func (d directory) Break() func(t *testing.T) { return nil }
