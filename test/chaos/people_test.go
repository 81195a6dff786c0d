//go:build linux && peers

package chaos

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// newAgent returns an agent that is not enrolled, beside that of f.
func newAgent(t *testing.T, destination string) *fleet.Agent {
	t.Helper()
	dir := t.TempDir()
	return fleet.NewAgent(t, fleet.AgentOptions{
		Dir: dir, State: filepath.Join(dir, "state"), Destination: destination, Directory: mkdir(t, "destination"),
	})
}

// TestJoinStrings: join strings that are mistyped, used, expired or another server's enrol nobody.
func TestJoinStrings(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{})
	f.Server.Do(t, "destination", "add", fleet.TenantName, "second", "--kind", "s3")
	join := func(more ...string) string {
		return f.Server.Join(t, fleet.TenantName, "second", f.Line.Address(), more...)
	}
	a := newAgent(t, "second")

	expect(t, a.Try(t, "run", "--once"), "enroll")
	good := join()
	swapped := []byte(good)
	i := len(swapped) / 2
	swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
	if string(swapped) == good {
		swapped[i] ^= 1
	}
	for _, typo := range []string{"", "hello", good[:len(good)-3], good + "x", string(swapped)} {
		expect(t, a.Try(t, "enroll", typo), "mistyped or incomplete")
	}

	short := join("--lifetime", "1s")
	time.Sleep(2 * time.Second)
	expect(t, a.Try(t, "enroll", short), "has expired", "ask wolkvox for a new one")

	other := fleet.New(t, fleet.Options{})
	other.Server.Do(t, "destination", "add", fleet.TenantName, "second", "--kind", "s3")
	elsewhere := other.Server.Join(t, fleet.TenantName, "second", f.Line.Address())
	expect(t, a.Try(t, "enroll", elsewhere), "not the one that the join string names")

	a.Do(t, "enroll", good)
	expect(t, newAgent(t, "second").Try(t, "enroll", good), "already used", "ask wolkvox for a new one")
	f.CheckLedgers(t)
}

// TestSecondAgent: a destination that has an agent takes no other, and says which one it has.
func TestSecondAgent(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{})
	name := f.Agent.Status(t).Agent
	expect(t, f.Server.Try(t, "token", "create", fleet.TenantName, fleet.DestinationName), name, "DESTINATION_ASSIGNED")

	// Two join strings were handed out while it had none.
	f.Server.Do(t, "destination", "add", fleet.TenantName, "second", "--kind", "wolkvox")
	one, two := f.Server.Join(t, fleet.TenantName, "second", f.Line.Address()), f.Server.Join(t, fleet.TenantName, "second", f.Line.Address())
	first := newAgent(t, "second")
	first.Do(t, "enroll", one)
	expect(t, newAgent(t, "second").Try(t, "enroll", two), "another agent serves the destination", first.Status(t).Agent)
}

// TestOtherTenant: an agent of one tenant neither enrols for another tenant's destination, nor works on it with what it
// has of another agent's.
func TestOtherTenant(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{})
	f.Server.Do(t, "tenant", "add", "globex", "--time-zone", "UTC")
	f.Server.Do(t, "destination", "add", "globex", "vault", "--kind", "azblob")
	theirs := f.Server.Join(t, "globex", "vault", f.Line.Address())
	expect(t, f.Agent.Try(t, "enroll", theirs), "another tenant", "globex", fleet.TenantName)

	// The join string is still good, for an agent of that tenant.
	newAgent(t, "vault").Do(t, "enroll", theirs)
	expect(t, newAgent(t, "nowhere").Try(t, "status"), "enroll")
	f.CheckLedgers(t)
}

// TestConfiguration: a key that nobody knows is an error that names it.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{})
	for file, try := range map[string]func() fleet.Result{
		f.Agent.Config: func() fleet.Result { return f.Agent.Try(t, "status") },
		filepath.Join(f.Dir, "server.yaml"): func() fleet.Result {
			return fleet.Command(t.Context(), fleet.Program(t, "wolkvox-server"), "serve", "--config", filepath.Join(f.Dir, "server.yaml"))
		},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, "proxxy: none\n"+string(text))
		expect(t, try(), file, "proxxy", "line 1")
		write(t, file, string(text))
	}
	expect(t, f.Agent.Try(t, "destination", "init", "tape"), "tape")
	expectStatus(t, f.Agent.Try(t, "run", "--onse"), 2, "--onse")
	f.CheckLedgers(t)
}

// TestOtherUser: a command that another user than the service's gives is neither answered nor let into the store, whether
// the service runs or not; nothing in the state changes hands.
func TestOtherUser(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{})
	open, err := os.MkdirTemp("", "wolkvox-other-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(open) })
	program := filepath.Join(open, "wolkvox-agent")
	text, err := os.ReadFile(fleet.Program(t, "wolkvox-agent"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	// Everybody may come as far as the configuration and the socket.
	for dir := f.Dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	id := strconv.Itoa(nobody)
	asNobody := func(args ...string) fleet.Result {
		args = append([]string{"--reuid", id, "--regid", id, "--clear-groups", program}, args...)
		return fleet.Command(t.Context(), "setpriv", append(args, "--config", f.Agent.Config)...)
	}
	commands := [][]string{{"status"}, {"run", "--once"}, {"run"}, {"destination", "init", fleet.DestinationName}, {"ledger", "verify"}}
	for _, args := range commands {
		expect(t, asNobody(args...), "belongs to user 0", "runs as user "+id)
	}
	f.Agent.Start(t)
	for _, args := range commands {
		r := asNobody(args...)
		if args[0] == "run" && len(args) == 1 {
			expect(t, r, "belongs to user 0")
			continue
		}
		expect(t, r, f.Agent.Socket, "own user")
	}
	err = filepath.WalkDir(f.Agent.State, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Uid == nobody {
			t.Errorf("%s belongs to the other user now", strings.TrimPrefix(path, f.Agent.State))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.CheckLedgers(t)
}
