//go:build linux && peers

package recovery

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
	"github.com/wolkvox/backup/test/recordings"
)

// agents is how many agents a server has here, offline how many of them are away at first when it comes back.
const (
	agents  = 20
	offline = 5
)

// client is a tenant with one server and many destinations, each with an agent of its own.
type client struct {
	server  *fleet.Server
	source  string
	parties []*party
}

func newClient(t *testing.T) *client {
	dir := t.TempDir()
	c := &client{server: fleet.NewServer(t, dir, filepath.Join(dir, "server"), "log_level: debug\n"), source: filepath.Join(dir, "source")}
	if err := os.Mkdir(c.source, 0o755); err != nil {
		t.Fatal(err)
	}
	c.server.Start(t)
	line := fleet.NewLine(t, c.server.Address)
	c.server.Do(t, "tenant", "add", fleet.TenantName, "--time-zone", "UTC", "--window", "00:00-00:00", "--quiet", "0s")
	c.server.Do(t, "source", "add", fleet.TenantName, fleet.SourceName, "--directory", c.source)
	for i := range agents {
		name := fmt.Sprintf("nas-%02d", i)
		own := filepath.Join(dir, name)
		p := &party{server: c.server, name: name, directory: filepath.Join(own, "destination")}
		if err := os.MkdirAll(p.directory, 0o755); err != nil {
			t.Fatal(err)
		}
		c.server.Do(t, "destination", "add", fleet.TenantName, name, "--kind", "rsync")
		p.agent = fleet.NewAgent(t, fleet.AgentOptions{
			Dir: own, State: filepath.Join(own, "agent"), Destination: name, Directory: p.directory, Top: "heartbeat: 1s\n",
		})
		p.agent.Do(t, "enroll", c.server.Join(t, fleet.TenantName, name, line.Address()))
		p.agent.Do(t, "destination", "init", name)
		c.parties = append(c.parties, p)
	}
	return c
}

// record makes recordings and seals them for all destinations.
func (c *client) record(t *testing.T, seed uint64) {
	t.Helper()
	today := time.Now().UTC().Truncate(24 * time.Hour)
	err := recordings.Make(filepath.Join(c.source, fmt.Sprintf("%016x", seed)), recordings.Options{
		Seed: seed, Count: 40, MedianBytes: 4000, Sigma: 0.8, From: today.AddDate(0, 0, -2), Until: today,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.server.Do(t, "seal", fleet.TenantName, "--wait")
}

// each does something for parties, some at a time.
func each(t *testing.T, what string, parties []*party, do func(t *testing.T, p *party)) {
	t.Helper()
	t.Run(what, func(t *testing.T) {
		for _, p := range parties {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				do(t, p)
			})
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

func (c *client) start(t *testing.T, parties []*party) {
	t.Helper()
	for _, p := range parties {
		p.agent.Start(t)
	}
}

func (c *client) stop(t *testing.T, parties []*party) {
	t.Helper()
	for _, p := range parties {
		p.agent.Kill()
	}
	for _, p := range parties {
		p.agent.Wait()
		p.note(t)
	}
}

func (c *client) run(t *testing.T) {
	t.Helper()
	each(t, "run", c.parties, func(t *testing.T, p *party) { p.run(t) })
}

// lose stops everything, takes something away from the server, and starts it and the agents again, the last ones only
// when the others have come back.
func (c *client) lose(t *testing.T, what func()) {
	t.Helper()
	c.stop(t, c.parties)
	c.server.Kill()
	c.server.Wait()
	what()
	c.server.Start(t)
	early, late := c.parties[:agents-offline], c.parties[agents-offline:]
	c.start(t, early)
	each(t, "early", early, func(t *testing.T, p *party) { p.run(t) })
	c.start(t, late)
	c.run(t)
}

// TestServerLedgerLost deletes the server's ledgers, puts older ones back, and puts its whole state back to before, on
// which it even seals, with 20 agents, some of them away at first. Each time all come back to one head.
func TestServerLedgerLost(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	ledgers := filepath.Join(c.server.State, "ledgers")
	c.start(t, c.parties)
	c.record(t, 1)
	c.run(t)

	c.stop(t, c.parties)
	c.server.Kill()
	c.server.Wait()
	olderLedgers, olderState := filepath.Join(t.TempDir(), "ledgers"), filepath.Join(t.TempDir(), "state")
	copyTree(t, ledgers, olderLedgers)
	copyTree(t, c.server.State, olderState)
	c.server.Start(t)
	c.start(t, c.parties)
	c.record(t, 2)
	c.run(t)

	t.Log("the ledgers are deleted")
	c.lose(t, func() {
		if err := os.RemoveAll(ledgers); err != nil {
			t.Fatal(err)
		}
	})
	c.record(t, 3)
	c.run(t)

	t.Log("older ledgers are put back")
	c.lose(t, func() { putBack(t, olderLedgers, ledgers) })
	c.record(t, 4)
	c.run(t)

	t.Log("the whole older state is put back, and the server seals before it hears anybody")
	c.stop(t, c.parties)
	c.server.Kill()
	c.server.Wait()
	putBack(t, olderState, c.server.State)
	c.server.Start(t)
	c.record(t, 5)
	c.start(t, c.parties)
	c.run(t)
	c.record(t, 6)
	c.run(t)

	want := map[string]string{}
	for path, sum := range fleet.Tree(t, c.source) {
		want[fleet.SourceName+"/"+path] = sum
	}
	each(t, "check", c.parties, func(t *testing.T, p *party) {
		p.check(t, want)
		p.checkServed(t)
	})
	evidence, err := filepath.Glob(filepath.Join(c.server.State, "evidence", fleet.TenantName, "*", "*", "*", "ledger.txt"))
	if err != nil || len(evidence) == 0 {
		t.Errorf("what only the server's losing branch held was not kept as evidence: %q, %v", evidence, err)
	}
}
