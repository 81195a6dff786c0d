//go:build linux && peers

package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWatchSees makes sure that the watch can fail: each kind of wrong is named, and what is right is not.
func TestWatchSees(t *testing.T) {
	t.Parallel()
	const good = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc"
	rename := func(dir, text, name string) error {
		staged := filepath.Join(dir, ".wolkvox", "staged")
		if err := os.WriteFile(staged, []byte(text), 0o644); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
		return os.Rename(staged, filepath.Join(dir, name))
	}
	for _, test := range []struct {
		what string
		do   func(dir string) error
		want string // what the only problem says, or nothing
	}{
		{"published whole", func(dir string) error { return rename(dir, "abc", "a/b/c/good") }, ""},
		{"published many", func(dir string) error {
			for i := range 300 {
				if err := rename(dir, "abc", fmt.Sprintf("%d/%d/good", i%7, i)); err != nil {
					return err
				}
			}
			return nil
		}, ""},
		{"wrong contents", func(dir string) error { return rename(dir, "ab", "a/good") }, "was seen with the SHA-256"},
		{"another name", func(dir string) error { return rename(dir, "abc", "a/bad") }, "must not be there"},
		{"written under its name", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "good"), []byte("abc"), 0o644)
		}, "was changed"},
		{"deleted", func(dir string) error {
			if err := rename(dir, "abc", "good"); err != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond) // until it was hashed
			return os.Remove(filepath.Join(dir, "good"))
		}, "was changed, moved or deleted"},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, ".wolkvox"), 0o755); err != nil {
				t.Fatal(err)
			}
			w := NewWatch(t, dir, func(path string) (string, bool) { return good, filepath.Base(path) == "good" })
			if err := test.do(dir); err != nil {
				t.Fatal(err)
			}
			_, problems := w.Stop(t)
			text := strings.Join(problems, "\n")
			if (test.want == "") != (text == "") || !strings.Contains(text, test.want) {
				t.Errorf("problems %q, want %q", text, test.want)
			}
		})
	}
}
