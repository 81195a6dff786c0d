//go:build peers

package simulation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the top of the repository, seen from this package.
const root = "../.."

// rule is one rule of the protocol, how it is left out, and what the simulation then finds.
type rule struct {
	name     string
	file     string // from the top of the repository
	old, new string // old stands there exactly once
	shows    string // part of the violation
	schedule string // one that shows it
}

// shownWithin bounds how often the schedule is run until the failure appears: who gets to act first within one instant differs.
const shownWithin = 60 * time.Second

// TestRules leaves out one rule after the other, and makes sure that the simulation shows the failure that the rule keeps
// from happening. The product has no switches for that: the simulation is built with one changed file.
func TestRules(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			s, err := parseSchedule(r.schedule)
			if err != nil {
				t.Fatal(err)
			}
			if sound := run(t, s, false, testLogger()); showsIn(sound, r.shows) {
				t.Fatalf("with the rule the schedule shows %q too: %v", r.shows, sound)
			}
			binary := buildWithout(t, r)
			run := exec.CommandContext(t.Context(), binary, "-test.run=^TestShows$", "-test.timeout=10m", "-shows", r.shows,
				"-schedule", r.schedule, "-within", shownWithin.String())
			if out, err := run.CombinedOutput(); err != nil {
				t.Errorf("without this rule nothing shows %q: %v\n%s", r.shows, err, out)
			} else {
				t.Logf("%s", out)
			}
		})
	}
}

// buildWithout builds this package's tests with one rule left out of the product.
func buildWithout(t *testing.T, r rule) string {
	t.Helper()
	dir := t.TempDir()
	original, err := filepath.Abs(filepath.Join(root, filepath.FromSlash(r.file)))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), r.old); n != 1 {
		t.Fatalf("%s has the text of the rule %d times, not once:\n%s", r.file, n, r.old)
	}
	changed := filepath.Join(dir, "changed.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{changed: strings.Replace(string(source), r.old, r.new, 1), filepath.Join(dir, "overlay.json"): string(overlay)} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "simulation.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build without the rule: %v\n%s", err, out)
	}
	return binary
}
