package secret

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hidden is what must not stand in any error.
const hidden = "correct horse battery staple"

func write(t *testing.T, name, text string, perm fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), perm); err != nil {
		t.Fatal(err)
	}
	return path
}

func checkHidden(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "horse") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	absolute := filepath.Join(t.TempDir(), "password")
	for name, test := range map[string]struct {
		source Source
		ok     bool
	}{
		"nothing":      {Source{}, false},
		"file":         {Source{File: absolute}, true},
		"relative":     {Source{File: "password"}, false},
		"environment":  {Source{Environment: "NAS_PASSWORD"}, true},
		"no variable":  {Source{Environment: "NAS=1"}, false},
		"credential":   {Source{Credential: "nas"}, true},
		"two of them":  {Source{File: absolute, Credential: "nas"}, false},
		"zero in name": {Source{Credential: "n\x00s"}, false},
	} {
		if err := test.source.Check(); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("WOLKVOX_TEST_PASSWORD", hidden+"\n")
	source := Source{Environment: "WOLKVOX_TEST_PASSWORD"}
	if got, err := source.Text(); err != nil || got != hidden {
		t.Errorf("%q, %v", got, err)
	}
	missing := Source{Environment: "WOLKVOX_TEST_MISSING"}
	if _, err := missing.Text(); err == nil || !strings.Contains(err.Error(), "WOLKVOX_TEST_MISSING") {
		t.Errorf("a missing variable: %v", err)
	}
	t.Setenv("WOLKVOX_TEST_PASSWORD", "\r\n")
	if _, err := source.Text(); err == nil {
		t.Error("an empty variable is a secret")
	}
}

// TestText: one line end is no part of a password, and a key is read as it is. What changes is read again.
func TestText(t *testing.T) {
	t.Parallel()
	path := write(t, "password", "", 0o600)
	source := Source{File: path}
	for text, want := range map[string]string{
		hidden: hidden, hidden + "\n": hidden, hidden + "\r\n": hidden, hidden + "\n\n": hidden + "\n", "\t" + hidden + " ": "\t" + hidden + " ",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		allow(t, path)
		if got, err := source.Text(); err != nil || got != want {
			t.Errorf("of %q: %q, %v", text, got, err)
		}
		if got, err := source.Read(); err != nil || string(got) != text {
			t.Errorf("bytes of %q: %q, %v", text, got, err)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{0: false, 1: true, maxBytes: true, maxBytes + 1: false} {
		path := write(t, "key", strings.Repeat("k", size), 0o600)
		allow(t, path)
		data, err := (&Source{File: path}).Read()
		if (err == nil) != ok || ok && len(data) != size {
			t.Errorf("%d bytes: %d bytes, %v", size, len(data), err)
		}
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("the error does not name the file: %v", err)
		}
	}
}

func TestNoFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "password")
	if _, err := (&Source{File: path}).Read(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := (&Source{File: filepath.Dir(path)}).Read(); err == nil {
		t.Error("a directory is a secret")
	}
}
