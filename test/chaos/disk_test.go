//go:build linux && peers

package chaos

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// mount mounts something at dir, and unmounts it when the test ends.
func mount(t *testing.T, dir string, args ...string) {
	t.Helper()
	if r := fleet.Command(t.Context(), "mount", append(args, dir)...); r.Status != 0 {
		t.Fatal(r)
	}
	t.Cleanup(func() {
		// It may be off already. The context of the test has ended.
		fleet.Command(context.WithoutCancel(t.Context()), "umount", "-l", dir)
	})
}

func remount(t *testing.T, dir, options string) {
	t.Helper()
	if r := fleet.Command(t.Context(), "mount", "-o", "remount,"+options, dir); r.Status != 0 {
		t.Fatal(r)
	}
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	if r := fleet.Command(t.Context(), "umount", dir); r.Status != 0 {
		t.Fatal(r)
	}
}

func mkdir(t *testing.T, names ...string) string {
	t.Helper()
	dir := filepath.Join(append([]string{t.TempDir()}, names...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestReserve: what does not fit above the reserve waits, and the rest is copied.
func TestReserve(t *testing.T) {
	t.Parallel()
	dir := mkdir(t, "destination")
	mount(t, dir, "-t", "tmpfs", "-o", "size=4m", "tmpfs")
	f := fleet.New(t, fleet.Options{Destination: dir})
	f.Record(t, 1, 400, 4, 20_000)
	f.Seal(t)
	expect(t, f.RunOnce(t), "reserve", "free space there")
	counts := f.Agent.Only(t).Counts
	if counts.Confirmed == 0 || counts.Pending == 0 || counts.Sum() != 400 {
		t.Errorf("%+v, want some confirmed and some pending", counts)
	}
	f.CheckLedgers(t)
	f.CheckDestination(t, false)
	remount(t, dir, "size=64m")
	expectComplete(t, f)
}

// TestFullDestination: a disk that is full although there seemed to be room. Whatever of the batch was not stored whole is
// neither visible nor confirmed.
func TestFullDestination(t *testing.T) {
	t.Parallel()
	dir := mkdir(t, "destination")
	mount(t, dir, "-t", "tmpfs", "-o", "size=2m", "tmpfs")
	f := fleet.New(t, fleet.Options{Destination: dir, Place: "  reserve: 0\n"})
	f.Record(t, 1, 1500, 1, 200) // each takes a whole page
	f.Seal(t)
	watch := fleet.NewWatch(t, dir, f.Wanted)
	expect(t, f.RunOnce(t), "no space left on device")
	if counts := f.Agent.Only(t).Counts; counts.Pending == 0 || counts.Sum() != 1500 {
		t.Errorf("%+v, want some pending", counts)
	}
	f.CheckLedgers(t)
	f.CheckDestination(t, false)
	remount(t, dir, "size=64m")
	expectComplete(t, f)
	if _, problems := watch.Stop(t); len(problems) > 0 {
		t.Errorf("watch: %q", problems)
	}
}

// TestFullState: the volume of the agent's own state is full. The agent stops before it touches its store, and says so.
func TestFullState(t *testing.T) {
	t.Parallel()
	dir := mkdir(t, "state")
	mount(t, dir, "-t", "tmpfs", "-o", "size=256m", "tmpfs")
	f := fleet.New(t, fleet.Options{AgentState: filepath.Join(dir, "agent")})
	f.Record(t, 1, 40, 2, 20_000)
	f.Seal(t)
	filler := filepath.Join(dir, "filler")
	fill := func() {
		t.Helper()
		if r := fleet.Command(t.Context(), "fallocate", "-l", "244m", filler); r.Status != 0 {
			t.Fatal(r)
		}
	}
	fill()
	expect(t, f.RunOnce(t), "the volume of the agent's own state", "stay in reserve", "nothing is lost")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}

	expectComplete(t, f)

	// It fills up while the service runs.
	f.Agent.Start(t)
	f.Record(t, 2, 40, 2, 20_000)
	fill()
	f.Seal(t)
	expect(t, f.RunOnce(t), "the volume of the agent's own state")
	expect(t, f.Agent.Try(t, "status"), "the volume of the agent's own state")
	if there := len(fleet.Tree(t, f.Destination)); there != 40 {
		t.Errorf("%d recordings are at the destination, want the 40 from before", there)
	}
	if !f.Agent.Running() {
		t.Errorf("the agent died of its full volume\n%s", fleet.Tail(f.Agent.Log))
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	runUntilComplete(t, f)
	f.CheckComplete(t)
}

// TestReadOnly: the destination cannot be written to.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir := mkdir(t, "destination")
	mount(t, dir, "--bind", mkdir(t, "real"))
	f := fleet.New(t, fleet.Options{Destination: dir})
	f.Record(t, 1, 40, 2, 20_000)
	f.Seal(t)
	remount(t, dir, "bind,ro")
	expect(t, f.RunOnce(t), "read-only file system")
	f.CheckLedgers(t)
	remount(t, dir, "bind,rw")
	expectComplete(t, f)
}

// TestUnmounted: where the destination was is an empty folder. It is not filled, and what was confirmed stays confirmed:
// unreachable is not missing.
func TestUnmounted(t *testing.T) {
	t.Parallel()
	dir, real := mkdir(t, "destination"), mkdir(t, "real")
	mount(t, dir, "--bind", real)
	f := fleet.New(t, fleet.Options{Destination: dir})
	f.Record(t, 1, 40, 2, 20_000)
	f.Seal(t)
	expectComplete(t, f)
	f.Record(t, 2, 40, 2, 20_000)
	f.Seal(t)
	unmount(t, dir)
	expect(t, f.RunOnce(t), "not mounted")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("the empty folder holds %v, %v", entries, err)
	}
	if server, agent := f.CheckLedgers(t); server.Counts.Confirmed != 40 || agent.Counts.Confirmed != 40 {
		t.Errorf("server %+v, agent %+v, want 40 confirmed", server.Counts, agent.Counts)
	}
	mount(t, dir, "--bind", real)
	expectComplete(t, f)
}

// TestUnmountedInit: a destination that is not there is not made.
func TestUnmountedInit(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{})
	gone := filepath.Join(t.TempDir(), "gone")
	a := fleet.NewAgent(t, fleet.AgentOptions{Dir: mkdir(t, "other"), State: f.Agent.State, Destination: fleet.DestinationName, Directory: gone})
	expect(t, a.Try(t, "destination", "init", fleet.DestinationName), gone, "cannot be reached")
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("the folder was made (%v)", err)
	}
}
