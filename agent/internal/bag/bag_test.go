package bag

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
)

func fileOf(path, content string) File {
	return File{path, backup.Digest{SHA256: sha256.Sum256([]byte(content)), SizeBytes: int64(len(content))}}
}

func add(t *testing.T, w *Writer, f File, content string) error {
	t.Helper()
	part, err := w.Begin(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	return part.Commit()
}

// TestBag writes a bag, interrupted once, and finds in it what was put there.
func TestBag(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bag")
	one, two, fetched := fileOf("a/100%25 (1).gsm", "one"), fileOf("b.mp3", "two"), fileOf("c.gsm", "three")
	w, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := add(t, w, one, "one"); err != nil {
		t.Fatal(err)
	}
	if err := add(t, w, two, "tw0"); !errors.Is(err, backup.ErrDigest) {
		t.Fatalf("other contents: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w, err = Create(dir); err != nil {
		t.Fatal(err)
	}
	for f, want := range map[File]bool{one: true, two: false} {
		if has, err := w.Has(f); has != want || err != nil {
			t.Errorf("Has(%s) = %t, %v", f.Path, has, err)
		}
	}
	if _, err := w.Has(fileOf(one.Path, "other")); !errors.Is(err, ErrDiffers) {
		t.Errorf("other contents under a name: %v", err)
	}
	if err := add(t, w, two, "two"); err != nil {
		t.Fatal(err)
	}
	url := func(f File) string {
		if f == fetched {
			return "sftp://host/c.gsm"
		}
		return ""
	}
	if err := w.Finish([]File{two, one, fetched}, url, []Field{{"Source-Organization", "wolk\nvox"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf("%x  data/a/100%%2525 (1).gsm\n%x  data/b.mp3\n%x  data/c.gsm\n", one.Digest.SHA256, two.Digest.SHA256, fetched.Digest.SHA256)
	for name, want := range map[string]string{
		"bagit.txt": "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n", "manifest-sha256.txt": manifest,
		"fetch.txt": "sftp://host/c.gsm 5 data/c.gsm\n", "bag-info.txt": "Source-Organization: wolk vox\nPayload-Oxum: 11.3\n",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if diff := cmp.Diff(want, string(text)); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
		tags, err := os.ReadFile(filepath.Join(dir, "tagmanifest-sha256.txt"))
		if line := fmt.Sprintf("%x  %s\n", sha256.Sum256(text), name); err != nil || !strings.Contains(string(tags), line) {
			t.Errorf("the tag manifest has not %q: %v", line, err)
		}
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for e := range f.All() {
		digest, err := f.Sum(e.Name)
		if err != nil || e.Err != nil || f.Damaged(e.Name, digest) || !f.Damaged(e.Name, backup.Digest{}) {
			t.Errorf("%s: %v, %v", e.Name, err, e.Err)
		}
		names = append(names, e.Name)
	}
	if !f.IsBag() || !slices.Equal(names, []string{one.Path, two.Path}) || !slices.Equal(f.Missing(), []string{"c.gsm"}) {
		t.Errorf("the bag holds %q, and %q is missing", names, f.Missing())
	}
}

// TestForeign leaves alone what is no bag, and says of a bag that it holds more than it should.
func TestForeign(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir); !errors.Is(err, ErrOccupied) {
		t.Errorf("a folder with something in it: %v", err)
	}
	w, err := Create(filepath.Join(dir, "bag"))
	if err != nil {
		t.Fatal(err)
	}
	if err := add(t, w, fileOf("x", "x"), "x"); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(nil, nil, nil); !errors.Is(err, ErrOccupied) {
		t.Errorf("a file that is not to be there: %v", err)
	}
}

// TestLinks does not follow links in a plain folder.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "b")); err != nil {
		t.Skip(err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for e := range f.All() {
		file, err := f.Open(e.Name)
		if err == nil {
			file.Close()
		}
		if isLink := e.Name == "b"; isLink != (e.Err != nil) || isLink != (err != nil) {
			t.Errorf("%s: %v, %v", e.Name, e.Err, err)
		}
	}
	if f.IsBag() || f.Missing() != nil {
		t.Error("a plain folder is taken for a bag")
	}
}

// FuzzPath has every path read as it was written.
func FuzzPath(f *testing.F) {
	f.Add("a/b")
	f.Add("100%25\r\n%0A")
	f.Fuzz(func(t *testing.T, p string) {
		encoded := encodePath(p)
		if strings.ContainsAny(encoded, "\r\n") || decodePath(encoded) != p {
			t.Errorf("%q is written %q and read %q", p, encoded, decodePath(encoded))
		}
	})
}
