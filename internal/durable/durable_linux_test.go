package durable

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// wantOccupied checks that the file has blocks behind all of its size.
func wantOccupied(t *testing.T, path string, sizeBytes int64) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Blocks*512 < sizeBytes { // st_blocks counts 512 bytes (stat(2))
		t.Errorf("%s occupies %d bytes, want at least %d", path, st.Blocks*512, sizeBytes)
	}
}

// TestLinkUnlink tests the way for file systems without RENAME_NOREPLACE.
func TestLinkUnlink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	staged, taken, free := filepath.Join(dir, "staged"), filepath.Join(dir, "taken"), filepath.Join(dir, "free")
	write(t, staged, []byte("new"))
	write(t, taken, []byte("old"))
	if err := linkUnlink(unix.AT_FDCWD, staged, unix.AT_FDCWD, taken); !errors.Is(err, fs.ErrExist) {
		t.Errorf("linkUnlink to a taken name = %v, want fs.ErrExist", err)
	}
	wantFile(t, taken, []byte("old"))
	if err := linkUnlink(unix.AT_FDCWD, staged, unix.AT_FDCWD, free); err != nil {
		t.Errorf("linkUnlink = %v", err)
	}
	wantFile(t, free, []byte("new"))
	wantNames(t, dir, "free", "taken")
}

func TestOddFilesNeverBlock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "file"), []byte("x"))
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	root := openRoot(t, dir)
	for _, name := range []string{"fifo", "link"} {
		if _, err := OpenReader(root, name, AlignedBuffer(BlockSize)); !errors.Is(err, ErrNotRegular) {
			t.Errorf("OpenReader(%s) = %v, want ErrNotRegular", name, err)
		}
		if err := SyncFileIn(root, name); !errors.Is(err, ErrNotRegular) {
			t.Errorf("SyncFileIn(%s) = %v, want ErrNotRegular", name, err)
		}
	}
	for _, name := range []string{"fifo", "file"} {
		if dir, err := OpenDir(root, name); err == nil {
			dir.Close()
			t.Errorf("OpenDir took %s for a directory", name)
		}
	}
}

// TestTmpfsIsNeverUncached: there is no device behind it, whatever its open(2) accepts.
func TestTmpfsIsNeverUncached(t *testing.T) {
	t.Parallel()
	const shm = "/dev/shm"
	var st unix.Statfs_t
	if err := unix.Statfs(shm, &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skipf("%s is not a tmpfs here", shm)
	}
	dir, err := os.MkdirTemp(shm, "durable-test-")
	if err != nil {
		t.Skipf("cannot write there: %v", err)
	}
	defer os.RemoveAll(dir)
	data := randomBytes(10_000)
	write(t, filepath.Join(dir, "file"), data)
	r, err := OpenReader(openRoot(t, dir), "file", AlignedBuffer(BlockSize))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data) || r.PassesCache() {
		t.Errorf("read %d bytes, %v, past the cache: %v; want %d, cached", len(got), err, r.PassesCache(), len(data))
	}
	if trusted, err := SyncFSTrusted(openDir(t, dir)); err != nil || !trusted {
		t.Errorf("SyncFSTrusted = %v, %v, want true", trusted, err)
	}
}

func TestReleaseSince(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"5.8.0": true, "5.8": true, "5.8-rc1": true, "5.10.0-8-amd64": true, "6.1.0-25-amd64": true, "10.0.1": true,
		"5.7.19": false, "4.18.0-553.el8.x86_64": false, "3.10.0": false, "": false, "x.9": false, "6": false, "5.": false,
	} {
		if got := releaseSince(release, 5, 8); got != want {
			t.Errorf("releaseSince(%q, 5, 8) = %v, want %v", release, got, want)
		}
	}
}
