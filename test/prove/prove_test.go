//go:build linux && peers

package prove

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// TestBothProve has agent and server prove every kind of state that a night leaves behind: the two proofs are the same, and the
// stand-alone verifier accepts them with the fingerprints that enrolling printed, and not with others.
func TestBothProve(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{})
	const count = 40
	f.Record(t, 1, count, 2, 5000)
	f.Seal(t)
	f.Agent.Do(t, "run", "--once")
	f.CheckComplete(t)
	var paths []string
	for path := range fleet.Tree(t, f.Destination) {
		if !strings.HasPrefix(path, ".wolkvox") {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	if len(paths) != count {
		t.Fatalf("%d files at the destination", len(paths))
	}
	trusted := f.Fingerprints(t)
	dir := t.TempDir()
	for i, path := range []string{paths[0], paths[count/2], paths[count-1]} {
		ofAgent, ofServer := filepath.Join(dir, string(rune('a'+i))), filepath.Join(dir, string(rune('A'+i)))
		said := f.Agent.Do(t, "prove", filepath.Join(f.Destination, path), "--to", ofAgent)
		if !strings.Contains(said, "has exactly these bytes") {
			t.Errorf("%s: %s", path, said)
		}
		f.Server.Do(t, "ledger", "prove", fleet.TenantName, fleet.DestinationName, "--path", path, "--to", ofServer)
		first, err := os.ReadFile(ofAgent)
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(ofServer)
		if err != nil {
			t.Fatal(err)
		}
		if string(first) != string(second) {
			t.Errorf("%s: agent and server prove differently", path)
		}
		r := verify(t, append([]string{ofServer}, trusted...)...)
		if r.Status != 0 || !strings.Contains(r.Stdout, "confirmed") {
			t.Errorf("%s: the stand-alone verifier: %v", path, r)
		}
		swapped := []string{ofServer, trusted[0], trusted[3], trusted[2], trusted[1]}
		if r := verify(t, swapped...); r.Status != 1 {
			t.Errorf("%s: with the fingerprints of other keys: %v", path, r)
		}
	}
	// A file that was changed since is named as that.
	changed := filepath.Join(f.Destination, paths[1])
	text, err := os.ReadFile(changed)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(changed, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := f.Agent.Try(t, "prove", changed, "--output", "json")
	var answer struct {
		File struct {
			Equal bool `json:"equal"`
		} `json:"file"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &answer); err != nil || r.Status != 1 || answer.File.Equal {
		t.Errorf("a changed file: %v, %v", r, err)
	}
}

func verify(t *testing.T, args ...string) fleet.Result {
	t.Helper()
	return fleet.Command(t.Context(), "node", append([]string{filepath.Join("..", "verifier", "verify.mjs"), "proof"}, args...)...)
}
