//go:build linux && peers

package skew

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// before is the release before this one.
const before = "0834338"

// release is a pair of programs.
type release struct{ server, agent string }

// build builds the programs of the release before from the repository's history.
func build(t *testing.T) (old, current release) {
	t.Helper()
	current = release{fleet.Program(t, "wolkvox-server"), fleet.Program(t, "wolkvox-agent")}
	root, dir := filepath.Dir(filepath.Dir(current.server)), t.TempDir()
	source := filepath.Join(dir, "source")
	if r := fleet.Command(t.Context(), "git", "-C", root, "worktree", "add", "--detach", "--force", source, before); r.Status != 0 {
		t.Fatalf("the history of the repository is wanted, and not a shallow clone: %v", r)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("git", "-C", root, "worktree", "remove", "--force", source).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	for _, name := range []string{"server", "agent"} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", dir+"/", "./"+name+"/cmd/wolkvox-"+name)
		cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the %s of %s: %v\n%s", name, before, err, out)
		}
	}
	return release{filepath.Join(dir, "wolkvox-server"), filepath.Join(dir, "wolkvox-agent")}, current
}

// TestUpgrades upgrades a fleet of the release before: the server first, or the agent first. In between, a whole night
// passes with one of each; at the end, with both of this version, everything is there, and both ledgers fold.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	old, current := build(t)
	for name, serverFirst := range map[string]bool{"server first": true, "agent first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fleet.New(t, fleet.Options{ServerProgram: old.server, AgentProgram: old.agent})
			night := func(seed uint64) {
				t.Helper()
				f.Record(t, seed, 60, 2, 10_000)
				f.Seal(t)
				if r := f.RunOnce(t); r.Status != 0 {
					t.Fatal(r)
				}
				f.CheckComplete(t)
			}
			night(1)
			upgradeServer := func() {
				f.Server.Kill()
				f.Server.Wait()
				f.Server.Become(current.server)
				f.Server.Start(t)
			}
			if serverFirst {
				upgradeServer()
			} else {
				f.Agent.Become(current.agent)
			}
			night(2)
			if serverFirst {
				f.Agent.Become(current.agent)
			} else {
				upgradeServer()
			}
			night(3)
		})
	}
}

// TestDowngrade: what this version wrote is not touched by the release before, which says so, and this version goes on.
func TestDowngrade(t *testing.T) {
	t.Parallel()
	old, current := build(t)
	f := fleet.New(t, fleet.Options{ServerProgram: old.server, AgentProgram: old.agent})
	night := func(seed uint64) {
		t.Helper()
		f.Record(t, seed, 30, 2, 10_000)
		f.Seal(t)
		if r := f.RunOnce(t); r.Status != 0 {
			t.Fatal(r)
		}
		f.CheckComplete(t)
	}
	night(1)
	f.Server.Kill()
	f.Server.Wait()
	f.Server.Become(current.server)
	f.Server.Start(t)
	f.Agent.Become(current.agent)
	night(2)

	f.Agent.Become(old.agent)
	if r := f.RunOnce(t); r.Status == 0 || !strings.Contains(r.Stderr, "newer version") {
		t.Errorf("the agent of the release before works on a newer store: %v", r)
	}
	f.Agent.Become(current.agent)
	f.Server.Kill()
	f.Server.Wait()
	config := filepath.Join(f.Dir, "server.yaml")
	if r := fleet.Command(t.Context(), old.server, "serve", "--config", config); r.Status != 1 || !strings.Contains(r.Stderr, "newer version") {
		t.Errorf("the server of the release before works on newer ledgers: %v", r)
	}
	f.Server.Start(t)
	night(3)
}
