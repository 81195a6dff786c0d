//go:build linux && peers

package byhand

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// TestIntoStorage brings files to wolkvox Storage, where nights copy on the server's side alone, and nothing is staged.
func TestIntoStorage(t *testing.T) {
	f := fleet.New(t, fleet.Options{Kind: "wolkvox", Where: "  wolkvox: {}\n"})
	f.Record(t, 3, 8, 1, 20_000)
	f.Seal(t)
	carried := filepath.Join(t.TempDir(), "carried")
	if r := fleet.Command(t.Context(), "cp", "-r", filepath.Join(f.Source, "0000000000000003"), carried); r.Status != 0 {
		t.Fatal(r)
	}
	write(t, filepath.Join(carried, "stranger"), "nobody's")
	if err := os.Rename(f.Source, f.Source+".away"); err != nil {
		t.Fatal(err)
	}
	r := f.Agent.Try(t, "import", carried)
	if !strings.Contains(r.Stdout, "9 files: 8 confirmed now, 0 were confirmed before, 1 refused, 0 failed") {
		t.Fatalf("want 8 of 9 confirmed: %v\n%s", r, fleet.Tail(f.Agent.Log))
	}
	r = f.Agent.Try(t, "import", carried)
	if !strings.Contains(r.Stdout, "9 files: 0 confirmed now, 8 were confirmed before, 1 refused, 0 failed") {
		t.Errorf("want 8 that were confirmed before: %v", r)
	}
	f.CheckLedgers(t)
}
