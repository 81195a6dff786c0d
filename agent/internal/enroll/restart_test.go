package enroll

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/internal/ledger"
)

// TestNewLog replaces a destination's identity where the join string is for a new log of it, says so before, and keeps the
// old one. A lost answer, and a crash after any file that was written, cost nothing.
func TestNewLog(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dir := t.TempDir()
	first := s.newJoin(t, "acme/nas")
	if _, err := Enroll(t.Context(), options(t, dir, first)); err != nil {
		t.Fatal(err)
	}
	before, err := Load(dir)
	check(t, err)
	path := destinationPath(filepath.Join(dir, identityDir), "nas")
	old, err := os.ReadFile(path)
	check(t, err)

	next := s.newJoin(t, "acme/nas")
	next.Origin = ledger.Origin(logPrefix + "acme/nas/" + strings.Repeat("1", 32))
	o := options(t, dir, next)
	var told []ledger.Origin
	o.Replacing = func(old, new ledger.Origin) { told = append(told, old, new) }
	s.lose = true
	if _, err := Enroll(t.Context(), o); err == nil {
		t.Fatal("a lost answer is no error")
	}
	if len(told) != 2 || told[0] != first.Origin || told[1] != next.Origin {
		t.Errorf("it was told %v", told)
	}
	between, err := Load(dir)
	check(t, err)
	if got := between.Destinations["nas"]; got.Origin != first.Origin || got.Key.Verifier() != before.Destinations["nas"].Key.Verifier() {
		t.Errorf("before the answer the agent serves %s", got.Origin)
	}
	result, err := Enroll(t.Context(), o)
	check(t, err)
	after, err := Load(dir)
	check(t, err)
	if got := after.Destinations["nas"]; got.Origin != next.Origin || got.Key.Verifier().Fingerprint() != result.AgentFingerprint ||
		got.Key.Verifier() == before.Destinations["nas"].Key.Verifier() {
		t.Errorf("it serves %s with the key %s", got.Origin, got.Key.Verifier())
	}
	if kept, err := os.ReadFile(result.SetAside); err != nil || string(kept) != string(old) || !strings.HasPrefix(result.SetAside, path+asideSuffix) {
		t.Errorf("%s keeps %q, %v; want the old identity", result.SetAside, kept, err)
	}
	if after.Agent != before.Agent {
		t.Errorf("the agent is %s, was %s", after.Agent, before.Agent)
	}
	// Again, nothing changes and nothing is told.
	told = nil
	files := contents(t, dir)
	if again, err := Enroll(t.Context(), o); err != nil || again.SetAside != "" || told != nil {
		t.Errorf("again: %+v, %v, told %v", again, err, told)
	}
	if !maps.Equal(files, contents(t, dir)) {
		t.Error("enrolling again changed files")
	}
}
