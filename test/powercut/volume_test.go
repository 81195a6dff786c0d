//go:build linux && peers

package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestVolumeForgets makes sure of the disk itself: what was not flushed is gone after a cut, what was is there, and the
// file system is whole, whatever of the rest has arrived.
func TestVolumeForgets(t *testing.T) {
	sweep(t)
	random := rand.New(rand.NewPCG(7, 7))
	v := newVolume(t, "forgets", 32<<20)
	for l := range losses {
		kept, gone := filepath.Join(v.dir, fmt.Sprint("kept-", l)), filepath.Join(v.dir, fmt.Sprint("gone-", l))
		data := bytes.Repeat([]byte(l.String()), 100_000)
		before := v.image.flushed()
		if err := writeSynced(kept, data); err != nil {
			t.Fatal(err)
		}
		if v.image.flushed() == before {
			t.Fatal("an fsync does not reach the disk as a flush")
		}
		if err := os.WriteFile(gone, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(gone); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("before the cut: read %d bytes, %v", len(got), err)
		}
		if err := powerCut(random, l, []*volume{v}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(kept); err != nil || !bytes.Equal(got, data) {
			t.Errorf("losing %v: what was synced reads as %d bytes, %v", l, len(got), err)
		}
		if _, err := os.Stat(gone); l == loseAll && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("losing %v: what was not synced is still there (%v)", l, err)
		}
	}
	image := filepath.Join(v.at, diskName)
	if err := run("umount", v.dir); err != nil {
		t.Fatal(err)
	}
	if err := run("e2fsck", "-f", "-n", image); err != nil {
		t.Errorf("after %d cuts: %v", losses, err)
	}
}

// writeSynced writes a file and makes it and its name durable.
func writeSynced(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
