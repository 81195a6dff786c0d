package localdest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/localdest"
)

// TestDriverOnUntrustedFileSystem runs the suite as on a share, where every file and directory needs its own sync.
func TestDriverOnUntrustedFileSystem(t *testing.T) {
	desttest.Run(t, func(t *testing.T) desttest.Env { return newEnv(t, localdest.NewWithoutSyncFS) })
}

// TestOddNamesAreConflicts: a FIFO is never waited for, a link never followed out, and all stay as they are.
func TestOddNamesAreConflicts(t *testing.T) {
	t.Parallel()
	dir, p := place(t)
	outside := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.gsm"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"out": outside, "up": "..", "nowhere": "absent", "link.gsm": "target.gsm", "dangling.gsm": "absent.gsm",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "target.gsm"), []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	conflicts := []string{"fifo.gsm", "fifo.gsm/a.gsm", "link.gsm", "dangling.gsm", "out/a.gsm", "up/a.gsm", "nowhere/a.gsm", "out/sub/a.gsm"}
	results := publish(t, p, []byte("ours"), append(conflicts, "fine.gsm")...)
	for _, name := range conflicts {
		if err := results[name].Err; !errors.Is(err, dest.ErrConflict) {
			t.Errorf("publishing %q = %v, want ErrConflict", name, err)
		}
		if r := p.Put(t.Context(), name, bytes.NewReader([]byte("ours")), desttest.Digest([]byte("ours")), dest.Absent); !errors.Is(r.Err, dest.ErrConflict) {
			t.Errorf("putting %q = %v, want ErrConflict", name, r.Err)
		}
	}
	if err := results["fine.gsm"].Err; err != nil {
		t.Errorf("publishing beside them: %v", err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("outside the place lie %v, %v", entries, err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "target.gsm")); err != nil || string(data) != "theirs" {
		t.Errorf("the target of a link holds %q, %v", data, err)
	}
}

// TestLinkInsideIsFollowed: an administrator may spread a destination's folders by links that stay inside.
func TestLinkInsideIsFollowed(t *testing.T) {
	t.Parallel()
	dir, p := place(t)
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(dir, "2026")); err != nil {
		t.Fatal(err)
	}
	if r := publish(t, p, []byte("ours"), "2026/a.gsm")["2026/a.gsm"]; r.Err != nil {
		t.Fatal(r.Err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "real", "a.gsm")); err != nil || string(data) != "ours" {
		t.Errorf("through the link came %q, %v", data, err)
	}
}

// TestOtherPlaceBehindTheName: when the folder is exchanged while a handle is open, as by unmounting, the new folder is
// neither filled nor read.
func TestOtherPlaceBehindTheName(t *testing.T) {
	t.Parallel()
	dir, p := place(t)
	if err := os.Rename(dir, dir+".mounted"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir + ".mounted") })
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if r := publish(t, p, []byte("ours"), "a.gsm")["a.gsm"]; r.Err != nil {
		t.Fatal(r.Err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("the folder that took the name holds %v, %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(dir+".mounted", "a.gsm")); err != nil {
		t.Error(err)
	}
	store, err := dest.New(localdest.New(dir), dir, desttest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context()); !errors.Is(err, dest.ErrNoMarker) {
		t.Errorf("opening the empty folder = %v, want ErrNoMarker", err)
	}
}

// TestEmptiedPlaceIsNotMissing: when everything is deleted behind an open handle, nothing is called missing.
func TestEmptiedPlaceIsNotMissing(t *testing.T) {
	t.Parallel()
	dir, p := place(t)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := p.HashExisting(t.Context(), "a.gsm"); !errors.Is(err, dest.ErrNoMarker) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("HashExisting = %v, want ErrNoMarker and not fs.ErrNotExist", err)
	}
}

// TestUnreadableIsNotMissing: an account that refuses reads yields neither missing files nor a missing marker.
func TestUnreadableIsNotMissing(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Log("root reads everything; run as another user to test this")
		return
	}
	dir, p := place(t)
	if err := os.MkdirAll(filepath.Join(dir, "closed"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"closed", ".wolkvox"} {
		if err := os.Chmod(filepath.Join(dir, path), 0); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(filepath.Join(dir, path), 0o755)
	}
	if _, err := p.HashExisting(t.Context(), "closed/a.gsm"); !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("HashExisting = %v, want fs.ErrPermission", err)
	}
	if err := p.CheckMarker(t.Context()); !errors.Is(err, dest.ErrUnreachable) {
		t.Errorf("CheckMarker = %v, want ErrUnreachable", err)
	}
}
