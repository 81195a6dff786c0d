//go:build peers

package simulation

import (
	"encoding/json"
	"fmt"
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
	file     string   // from the top of the repository
	old, new string   // old stands there exactly once
	besides  []change // what holds in its place, and is left out with it
	shows    string   // part of the violation, or what comes about without it only
	schedule string   // one that shows it
}

// change is another place of the product that is left out with a rule.
type change struct{ file, old, new string }

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
	replaced := map[string]string{}
	for i, c := range append([]change{{r.file, r.old, r.new}}, r.besides...) {
		original, err := filepath.Abs(filepath.Join(root, filepath.FromSlash(c.file)))
		if err != nil {
			t.Fatal(err)
		}
		from := original
		if earlier, ok := replaced[original]; ok {
			from = earlier
		}
		source, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), c.old); n != 1 {
			t.Fatalf("%s has the text of the rule %d times, not once:\n%s", c.file, n, c.old)
		}
		replaced[original] = filepath.Join(dir, fmt.Sprintf("changed%d.go", i))
		if err := os.WriteFile(replaced[original], []byte(strings.Replace(string(source), c.old, c.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "simulation.test")
	build(t, binary, "-overlay", filepath.Join(dir, "overlay.json"))
	return binary
}

// build builds this package's tests without the race detector.
func build(t *testing.T, binary string, flags ...string) {
	t.Helper()
	arguments := append([]string{"test", "-c", "-vet=off", "-o", binary}, flags...)
	build := exec.CommandContext(t.Context(), "go", append(arguments, ".")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the simulation: %v\n%s", err, out)
	}
}
