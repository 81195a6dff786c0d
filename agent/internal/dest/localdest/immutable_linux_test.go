//go:build peers

package localdest_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
)

// protect gives a path an attribute until the test ends, or what is returned is called. It needs root, and a file system that has
// attributes, as ext4, xfs and btrfs do.
func protect(t *testing.T, attribute, path string) (lift func()) {
	t.Helper()
	chattr := func(sign string) {
		t.Helper()
		if out, err := exec.Command("chattr", sign+attribute, path).CombinedOutput(); err != nil {
			t.Fatalf("chattr %s%s %s: %v\n%s", sign, attribute, path, err, out)
		}
	}
	chattr("+")
	lifted := false
	lift = func() {
		if !lifted {
			lifted = true
			chattr("-")
		}
	}
	t.Cleanup(lift)
	return lift
}

// wantImmutable makes sure that an error has the driver's own code, and the system's.
func wantImmutable(t *testing.T, what string, err error) {
	t.Helper()
	code, ok := errors.AsType[*dest.CodeError](err)
	if !ok || code.Space != dest.SpaceDriver || code.Name != dest.CodeImmutable || !errors.Is(err, syscall.EPERM) {
		t.Errorf("%s: %v, want %s", what, err, dest.CodeImmutable)
	}
}

// TestImmutable tells the attributes of files and folders from all else that is not permitted.
func TestImmutable(t *testing.T) {
	t.Parallel()
	data := []byte("ours")
	for _, attribute := range []string{"i", "a"} {
		dir, p := place(t)
		own := filepath.Join(dir, ".wolkvox")
		calls := filepath.Join(dir, "calls")
		if err := os.Mkdir(calls, 0o755); err != nil {
			t.Fatal(err)
		}
		old := filepath.Join(calls, "old.gsm")
		if err := os.WriteFile(old, data, 0o644); err != nil {
			t.Fatal(err)
		}

		lift := protect(t, attribute, old)
		_, err := p.MoveAside(t.Context(), "calls/old.gsm", "aside")
		wantImmutable(t, "moving a file aside", err)
		if got, err := p.HashExisting(t.Context(), "calls/old.gsm"); err != nil || got != desttest.Digest(data) {
			t.Errorf("reading it: %v, %v", got, err)
		}
		lift()

		lift = protect(t, attribute, filepath.Join(own, "marker"))
		wantImmutable(t, "removing the marker", p.Unmark(t.Context()))
		lift()

		if attribute == "a" { // a folder to which names may be added takes what is published
			continue
		}
		lift = protect(t, attribute, calls)
		for name, r := range publish(t, p, data, "calls/new.gsm", "calls/2026/05/new.gsm") {
			wantImmutable(t, "publishing "+name, r.Err)
		}
		r := p.Put(t.Context(), "calls/new.gsm", bytes.NewReader(data), desttest.Digest(data), dest.Absent)
		wantImmutable(t, "putting", r.Err)
		lift()

		lift = protect(t, attribute, own)
		wantImmutable(t, "writing an own file", p.WriteOwn(t.Context(), dest.Head, data))
		lift()

		processes, err := filepath.Glob(filepath.Join(own, "staging", "*"))
		if err != nil || len(processes) != 1 {
			t.Fatalf("folders of staging: %q, %v", processes, err)
		}
		lift = protect(t, attribute, processes[0])
		_, err = p.Begin(t.Context())
		wantImmutable(t, "staging", err)
		lift()
		if err := p.WriteOwn(t.Context(), dest.Head, data); err != nil {
			t.Errorf("when it is lifted: %v", err)
		}
	}
}
