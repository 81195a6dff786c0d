//go:build linux && peers

package fleet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/recordings"
)

// The names in every fleet.
const (
	TenantName      = "acme"
	DestinationName = "nas"
	SourceName      = "calls"
)

// Options say where a fleet lies; what is empty is below a directory of the test's own.
type Options struct {
	ServerState, AgentState string // must not exist yet
	Destination             string // must exist
	Kind                    string // of storage; rsync where empty
	Where                   string // as in [AgentOptions]; what it names serves Destination
	Server                  string // further lines of the server's configuration
	Agent                   string // further lines of the agent's
	Place                   string // further lines on the destination in it
	// SourceAt returns the flags of `source add` for what shows what lies in the directory dir; nil for the directory itself.
	SourceAt func(dir string) []string

	ServerProgram, AgentProgram string // others than those that were built
}

// Fleet is a server, an agent with one destination, and the line between them.
type Fleet struct {
	Dir         string // for configurations and logs
	Server      *Server
	Agent       *Agent
	Line        *Line
	Source      string // the directory where recordings lie
	Destination string // the directory where they go
	Enrolled    string // what the agent's enrolment printed

	mu     sync.Mutex
	wanted map[string]string // by path at the destination, the SHA-256
}

// New starts a server with a tenant whose nights are always open, a source and a destination, and enrols an agent,
// which does not run yet. It calls the server over the line.
func New(t testing.TB, o Options) *Fleet {
	t.Helper()
	f := &Fleet{Dir: t.TempDir(), Destination: o.Destination, wanted: map[string]string{}}
	f.Source = f.mkdir(t, "source")
	if f.Destination == "" {
		f.Destination = f.mkdir(t, "destination")
	}
	if o.ServerState == "" {
		o.ServerState = filepath.Join(f.Dir, "server")
	}
	if o.AgentState == "" {
		o.AgentState = filepath.Join(f.Dir, "agent")
	}
	if o.ServerProgram == "" {
		f.Server = NewServer(t, f.Dir, o.ServerState, o.Server)
	} else {
		f.Server = NewServerOf(t, o.ServerProgram, f.Dir, o.ServerState, o.Server)
	}
	f.Server.Start(t)
	f.Line = NewLine(t, f.Server.Address)
	f.Server.Do(t, "tenant", "add", TenantName, "--time-zone", "UTC", "--window", "00:00-00:00", "--quiet", "0s")
	where := []string{"--directory", f.Source}
	if o.SourceAt != nil {
		where = o.SourceAt(f.Source)
	}
	f.Server.Do(t, append([]string{"source", "add", TenantName, SourceName}, where...)...)
	f.Server.Do(t, "destination", "add", TenantName, DestinationName, "--kind", cmp.Or(o.Kind, "rsync"))
	f.Agent = NewAgent(t, AgentOptions{
		Dir: f.Dir, State: o.AgentState, Destination: DestinationName, Directory: f.Destination, Where: o.Where,
		Top: o.Agent, More: o.Place, Program: o.AgentProgram,
	})
	f.Enrolled = f.Agent.Do(t, "enroll", f.Server.Join(t, TenantName, DestinationName, f.Line.Address()))
	f.Agent.Do(t, "destination", "init", DestinationName)
	return f
}

func (f *Fleet) mkdir(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(f.Dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Record makes count recordings in a folder of their own, spread over the nights before today, and takes down what has
// to arrive. Each call wants another seed.
func (f *Fleet) Record(t testing.TB, seed uint64, count, nights int, medianBytes int64) {
	t.Helper()
	today := time.Now().UTC().Truncate(24 * time.Hour)
	folder := fmt.Sprintf("%016x", seed)
	err := recordings.Make(filepath.Join(f.Source, folder), recordings.Options{
		Seed: seed, Count: count, MedianBytes: medianBytes, Sigma: 0.8, From: today.AddDate(0, 0, -nights), Until: today,
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, sum := range Tree(t, filepath.Join(f.Source, folder)) {
		f.Want(SourceName+"/"+folder+"/"+path, sum)
	}
}

// Want takes down that a file has to arrive under a path.
func (f *Fleet) Want(path, sum string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted[path] = sum
}

// Wanted returns the SHA-256 that the file under a path must have, and false where nothing must be there.
func (f *Fleet) Wanted(path string) (sum string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum, ok = f.wanted[path]
	return sum, ok
}

// WantedCount returns how many files have to arrive.
func (f *Fleet) WantedCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.wanted)
}

// Seal seals what is new.
func (f *Fleet) Seal(t testing.TB) {
	t.Helper()
	f.Server.Do(t, "seal", TenantName, "--wait")
}

// RunOnce has the agent copy what is pending now.
func (f *Fleet) RunOnce(t testing.TB) Result {
	t.Helper()
	return f.Agent.Try(t, "run", "--once")
}

// Nights returns what was sealed, as the server has it.
func (f *Fleet) Nights(t testing.TB) []Night {
	t.Helper()
	return f.Server.Nights(t, TenantName, DestinationName)
}

// CheckSums makes sure that on both sides what was announced is the sum over all states, night by night.
func (f *Fleet) CheckSums(t testing.TB) {
	t.Helper()
	check := func(who string, nights []Night) {
		for _, n := range nights {
			if n.Counts.Sum() != n.Items {
				t.Errorf("%s: manifest %d has %d recordings, and its states add up to %d: %+v", who, n.Manifest, n.Items, n.Counts.Sum(), n.Counts)
			}
		}
	}
	check("server", f.Nights(t))
	check("agent", f.Agent.Only(t).Nights)
}

// CheckLedgers has both sides fold their ledgers from nothing, and returns what they say.
func (f *Fleet) CheckLedgers(t testing.TB) (server, agent Report) {
	t.Helper()
	server, agent = f.Server.Verify(t, TenantName, DestinationName), f.Agent.Verify(t, DestinationName)
	for who, r := range map[string]Report{"server": server, "agent": agent} {
		if len(r.Problems) > 0 || r.Counts.Sum() != r.Items {
			t.Errorf("the %s's ledger: %d recordings, %+v, problems %q", who, r.Items, r.Counts, r.Problems)
		}
	}
	return server, agent
}

// CheckComplete makes sure that everything wanted is confirmed, that both sides agree on it and on the head, and that
// the destination holds exactly that.
func (f *Fleet) CheckComplete(t testing.TB) {
	t.Helper()
	server, agent := f.CheckLedgers(t)
	if server.Position != agent.Position || server.Counts != agent.Counts {
		t.Errorf("the sides differ:\nserver %+v\nagent  %+v", server, agent)
	}
	if agent.Agreed != agent.Position || server.Agreed != server.Position {
		t.Errorf("the last head is not agreed: log %+v, agreed by the agent %+v, known to the server %+v", agent.Position, agent.Agreed, server.Agreed)
	}
	if got := int(server.Counts.Confirmed); got != f.WantedCount() || server.Counts.Pending+server.Counts.Expired > 0 {
		t.Errorf("%d recordings must arrive, and the ledger has %+v", f.WantedCount(), server.Counts)
	}
	f.CheckDestination(t, true)
}

// CheckDestination makes sure that every file at the destination is one that must be there, with its contents; and, if
// all is set, that none is missing.
func (f *Fleet) CheckDestination(t testing.TB, all bool) {
	t.Helper()
	there := Tree(t, f.Destination)
	for path, sum := range there {
		if want, ok := f.Wanted(path); !ok || want != sum {
			t.Errorf("destination: %s has the SHA-256 %s, want %q", path, sum, want)
		}
	}
	if all && len(there) != f.WantedCount() {
		t.Errorf("the destination holds %d files, want %d", len(there), f.WantedCount())
	}
}

// Tree returns the SHA-256 of every regular file below dir, by its path, without what programs and file systems keep for
// themselves.
func Tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(path, ".wolkvox") || path == "lost+found") {
			return fs.SkipDir
		}
		if entry.Type().IsRegular() && !strings.HasPrefix(path, ".wolkvox") {
			sums[path], err = Sum(filepath.Join(dir, path))
		}
		return err
	})
	if err != nil {
		t.Fatalf("read the tree %s: %v", dir, err)
	}
	return sums
}

// Sum returns the SHA-256 of a file.
func Sum(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
