//go:build unix

package secret

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// allow leaves a file as os.WriteFile made it: for its owner alone.
func allow(*testing.T, string) {}

func TestExposed(t *testing.T) {
	t.Parallel()
	for perm, ok := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o700: true, 0o640: false, 0o604: false, 0o620: false, 0o602: false, 0o610: false, 0o644: false, 0o666: false,
	} {
		path := write(t, "password", hidden, 0o600)
		if err := os.Chmod(path, perm); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		for _, named := range []string{path, link} {
			_, err := (&Source{File: named}).Text()
			checkHidden(t, err)
			switch {
			case ok && err != nil:
				t.Errorf("%04o: %v", perm, err)
			case !ok && (!errors.Is(err, ErrExposed) || !strings.Contains(err.Error(), "chmod 600 "+named)):
				t.Errorf("%04o: %v", perm, err)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const root, agent, somebody = 0, 990, 1000
	for name, test := range map[string]struct {
		mode  fs.FileMode
		owner uint32
		ok    bool
	}{
		"own":              {0o600, agent, true},
		"root's":           {0o600, root, true},
		"somebody's":       {0o600, somebody, false},
		"own, for a group": {0o640, agent, false},
		"root's, for all":  {0o604, root, false},
	} {
		err := judge("/etc/wolkvox/password", test.mode, test.owner, agent)
		if (err == nil) != test.ok || err != nil && (!errors.Is(err, ErrExposed) || !strings.Contains(err.Error(), "chmod 600 /etc/wolkvox/password")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNotRegular: what is no file is refused and never waited for.
func TestNotRegular(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Source{File: fifo}).Read(); err == nil {
		t.Error("a FIFO is a secret")
	}
	if _, err := (&Source{File: "/dev/zero"}).Read(); err == nil {
		t.Error("a device is a secret")
	}
}

func TestCredential(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(credentialsDirectory, dir)
	// systemd lets the unit's user read by an access list, which shows as a right of the group.
	if err := os.WriteFile(filepath.Join(dir, "nas"), []byte(hidden+"\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	source := Source{Credential: "nas"}
	if got, err := source.Text(); err != nil || got != hidden {
		t.Errorf("%q, %v", got, err)
	}
	missing := Source{Credential: "other"}
	if _, err := missing.Text(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "LoadCredential=other:") {
		t.Errorf("a missing credential: %v", err)
	}
	if err := os.Symlink(write(t, "outside", hidden, 0o600), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../nas", "a/b", "..", ".", "link"} {
		source := Source{Credential: name}
		if name != "link" && source.Check() == nil {
			t.Errorf("%q is a name", name)
		}
		_, err := source.Text()
		if err == nil {
			t.Errorf("%q was read", name)
		}
		checkHidden(t, err)
	}
	t.Setenv(credentialsDirectory, "")
	if _, err := source.Text(); err == nil || !strings.Contains(err.Error(), "LoadCredential=nas:") {
		t.Errorf("outside a service: %v", err)
	}
}
