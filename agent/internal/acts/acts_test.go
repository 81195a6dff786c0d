package acts

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAdd finds every line again, also after one that a crash left unfinished.
func TestAdd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := time.Date(2026, 3, 1, 9, 0, 0, 500, time.FixedZone("", -5*3600))
	first := Act{Time: at, Act: Import, Destination: "nas", Origin: "o", Manifest: 3, Items: "0-7", By: "Ana Pérez", User: "ana"}
	second := Act{Time: at.Add(time.Hour), Act: Waive, Destination: "nas", Origin: "o", Manifest: 3, Items: "8", Reason: "declined"}
	if err := Open(dir).Add(first); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(dir, File), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.WriteString(`{"time":"2026-`)
	file.Close()
	if err := Open(dir).Add(second); err != nil {
		t.Fatal(err)
	}
	got, err := read(filepath.Join(dir, File))
	first.Time, second.Time = time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC), time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC)
	if diff := cmp.Diff([]Act{first, second}, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if info, err := os.Stat(filepath.Join(dir, File)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the file may be read by others: %v, %v", info.Mode(), err)
	}
}

// read returns the acts, oldest first, without what a crash left in pieces.
func read(path string) (all []Act, err error) {
	text, err := os.ReadFile(path)
	for line := range bytes.Lines(text) {
		var a Act
		if json.Unmarshal(line, &a) == nil {
			all = append(all, a)
		}
	}
	return all, err
}

// TestCannotAdd reports what could not be written.
func TestCannotAdd(t *testing.T) {
	t.Parallel()
	if err := Open(filepath.Join(t.TempDir(), "none")).Add(Act{}); err == nil {
		t.Error("a line was added in a directory that is not there")
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{"": true, "Ana Pérez": true, "a\nb": false, "\xff": false, strings.Repeat("a", 201): false} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
}
