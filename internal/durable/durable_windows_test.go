package durable

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

// wantOccupied has nothing to check: NTFS allocates a file that is not sparse when its size is set.
func wantOccupied(*testing.T, string, int64) {}

// TestRenameByHandle tests the handle-relative way alone, without its fallback by path.
func TestRenameByHandle(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	oldDir, newDir := openDir(t, from), openDir(t, to)
	write(t, filepath.Join(from, "staged"), []byte("new"))
	if err := renameByHandle(oldDir, "staged", newDir, "free"); err != nil {
		t.Fatalf("renameByHandle: %v", err)
	}
	wantFile(t, filepath.Join(to, "free"), []byte("new"))
	write(t, filepath.Join(from, "staged"), []byte("newer"))
	if err := renameNoReplaceAt(oldDir, "staged", newDir, "FREE"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("renaming to a name taken in another case = %v, want fs.ErrExist", err)
	}
	wantFile(t, filepath.Join(to, "free"), []byte("new"))
}
