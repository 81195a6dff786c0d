package source

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	backup "github.com/wolkvox/backup"
)

func write(t *testing.T, root, name, contents string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
		t.Fatal(err)
	}
}

// marked opens a marked tree.
func marked(t *testing.T, root string) *Tree {
	t.Helper()
	proof, err := Mark(root)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, root, proof)
}

func open(t *testing.T, root string, proof Proof) *Tree {
	t.Helper()
	tree, err := Open(t.Context(), root, proof)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree
}

// wantUnreachable also sees to it that nobody can take the error for a file that is missing.
func wantUnreachable(t *testing.T, about string, err error) {
	t.Helper()
	if !errors.Is(err, ErrUnreachable) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: error = %v, want ErrUnreachable alone", about, err)
	}
}

func TestMark(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	first, err := Mark(root)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Mark(root)
	if err != nil || again != first {
		t.Errorf("a second Mark = %v, %v, want the marker that is there, %v", again, err, first)
	}
	other, err := Mark(t.TempDir())
	if err != nil || other == first {
		t.Errorf("another folder has the marker %v, %v", other, err)
	}
	write(t, root, MarkerName+".new", "")
	if err := os.Rename(filepath.Join(root, MarkerName+".new"), filepath.Join(root, MarkerName)); err != nil {
		t.Fatal(err)
	}
	if proof, err := Mark(root); err == nil {
		t.Errorf("a damaged marker was adopted: %v", proof)
	}
	if _, err := Mark("relative"); err == nil {
		t.Error("a relative path was marked")
	}
}

func TestParseMarker(t *testing.T) {
	t.Parallel()
	const id = "00112233445566778899aabbccddeeff"
	if got, ok := parseMarker(formatMarker(id)); !ok || got != id {
		t.Errorf("parseMarker = %q, %v", got, ok)
	}
	for _, text := range []string{"", id, id + "\n", "wolkvox-source " + id, "wolkvox-source " + id + "\n\n",
		"wolkvox-source " + strings.ToUpper(id) + "\n", "wolkvox-source " + id + "00\n", "wolkvox-source \n"} {
		if got, ok := parseMarker(text); ok {
			t.Errorf("parseMarker(%q) = %q, want a refusal", text, got)
		}
	}
}

func TestOpenProof(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "a/witness.gsm", "contents")
	marker, err := Mark(root)
	if err != nil {
		t.Fatal(err)
	}
	witness, err := Witness(root, "a/witness.gsm")
	if err != nil {
		t.Fatal(err)
	}
	if want := (backup.Digest{SHA256: sha256.Sum256([]byte("contents")), SizeBytes: 8}); witness.Digest != want {
		t.Errorf("Witness digest = %v, want %v", witness.Digest, want)
	}
	open(t, root, marker)
	open(t, root, witness)

	empty := t.TempDir()
	for about, bad := range map[string]struct {
		path  string
		proof Proof
	}{
		"empty folder, marker":   {empty, marker},
		"empty folder, witness":  {empty, witness},
		"no folder":              {filepath.Join(empty, "none"), marker},
		"another marker":         {root, Proof{MarkerID: strings.Repeat("0", 32)}},
		"another witness digest": {root, Proof{File: witness.File, Digest: backup.Digest{SizeBytes: 8}}},
		"another witness name":   {root, Proof{File: "a/none", Digest: witness.Digest}},
		"witness is a folder":    {root, Proof{File: "a", Digest: witness.Digest}},
	} {
		_, err := Open(t.Context(), bad.path, bad.proof)
		wantUnreachable(t, about, err)
	}
	for about, bad := range map[string]Proof{"no proof": {}, "two proofs": {MarkerID: marker.MarkerID, File: "a"}} {
		if _, err := Open(t.Context(), root, bad); err == nil {
			t.Errorf("%s: opened", about)
		}
	}
}

func TestWitnessRefuses(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "empty", "")
	write(t, root, "large", "")
	if err := os.Truncate(filepath.Join(root, "large"), MaxWitnessBytes+1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"empty", "large", "none", ".", "../" + filepath.Base(root) + "/empty"} {
		if proof, err := Witness(root, name); err == nil {
			t.Errorf("Witness(%q) = %v, want an error", name, proof)
		}
	}
}

func TestTreeOpen(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "a/call.gsm", "contents")
	tree := marked(t, root)

	f, identity, err := tree.Open(t.Context(), "a/call.gsm")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(io.NewSectionReader(f, 0, 100)); err != nil || string(text) != "contents" || identity.SizeBytes != 8 {
		t.Errorf("contents = %q, %v; identity %v", text, err, identity)
	}
	for name, want := range map[string]error{
		"a/none": fs.ErrNotExist, "b/none": fs.ErrNotExist, "a/call.gsm/none": fs.ErrNotExist, "a": ErrNotRegular,
		"../x": ErrUnreadable, "/etc/passwd": ErrUnreadable,
	} {
		if _, _, err := tree.Open(t.Context(), name); !errors.Is(err, want) || errors.Is(err, ErrUnreachable) {
			t.Errorf("Open(%q) = %v, want %v", name, err, want)
		}
	}
}

// TestUnmounted stands an empty folder where the tree was, with the old one still open, as a lazy unmount does.
func TestUnmounted(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "source")
	write(t, root, "call.gsm", "contents")
	tree := marked(t, root)
	found, err := tree.Scan(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tree.Scan(t.Context(), func(Candidate) bool {
		if err := os.Rename(root, root+".gone"); err != nil {
			t.Error(err)
		}
		write(t, root, "other.gsm", "")
		return true
	})
	wantUnreachable(t, "unmounted in mid-scan", err)
	_, err = tree.Scan(t.Context(), nil)
	wantUnreachable(t, "scan", err)
	_, _, err = tree.Open(t.Context(), "none")
	wantUnreachable(t, "open", err)
	_, err = tree.HashFile(t.Context(), "none")
	wantUnreachable(t, "hash one", err)
	wantUnreachable(t, "hash", tree.Hash(t.Context(), found.Candidates, 2, func(Hashed) error { return nil }))
}

func TestMarkerRemovedInMidScan(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "call.gsm", "contents")
	tree := marked(t, root)
	_, err := tree.Scan(t.Context(), func(Candidate) bool {
		if err := os.Remove(filepath.Join(root, MarkerName)); err != nil {
			t.Error(err)
		}
		return false
	})
	wantUnreachable(t, "scan", err)
}

func TestIdentityString(t *testing.T) {
	t.Parallel()
	base := Identity{SizeBytes: 1, ModTime: time.Unix(10, 5).UTC(), Inode: 3, ChangeTime: time.Unix(11, 0).UTC()}
	far := base
	far.ModTime = time.Unix(1e12, 0).UTC()
	seen := map[string]Identity{base.String(): base}
	for _, other := range []Identity{
		{2, base.ModTime, 3, base.ChangeTime}, {1, time.Unix(10, 50).UTC(), 3, base.ChangeTime},
		{1, base.ModTime, 4, base.ChangeTime}, {1, base.ModTime, 3, time.Unix(11, 1).UTC()}, far, {},
	} {
		if same, ok := seen[other.String()]; ok {
			t.Errorf("%+v and %+v are both %q", same, other, other)
		}
		seen[other.String()] = other
	}
}

func TestNightOf(t *testing.T) {
	t.Parallel()
	bogota := time.FixedZone("-05", -5*3600)
	for mod, want := range map[time.Time]backup.Date{
		time.Date(2026, 11, 22, 4, 59, 59, 999, time.UTC): {Year: 2026, Month: 11, Day: 21},
		time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC):     {Year: 2026, Month: 11, Day: 22},
		time.Date(1969, 12, 31, 23, 59, 59, 9, time.UTC):  {},
		time.Unix(1e12, 0): {},
	} {
		if got := NightOf(RecordedAt(mod), bogota); got != want {
			t.Errorf("night of %v = %v, want %v", mod, got, want)
		}
	}
	if got, want := RecordedAt(time.Unix(100, 999)), time.Unix(100, 0).UTC(); got != want {
		t.Errorf("RecordedAt = %v, want %v", got, want)
	}
}
