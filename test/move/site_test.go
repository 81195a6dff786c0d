//go:build linux && peers

package move

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// site is a fleet whose destination moves.
type site struct {
	*fleet.Fleet
	places int
}

// newSite has a night of so many recordings confirmed.
func newSite(t *testing.T, count int) *site {
	t.Helper()
	s := &site{Fleet: fleet.New(t, fleet.Options{Server: "log_level: debug\n", Agent: "heartbeat: 1s\n"})}
	s.Record(t, 1, count, 3, 20_000)
	s.Seal(t)
	s.Agent.Do(t, "run", "--once")
	s.CheckComplete(t)
	return s
}

// dir returns the path of a directory that is not there yet.
func (s *site) dir() string {
	s.places++
	return filepath.Join(s.Dir, fmt.Sprint("place", s.places))
}

// configure names another place in the agent's configuration.
func (s *site) configure(t *testing.T, place string) {
	t.Helper()
	text, err := os.ReadFile(s.Agent.Config)
	if err != nil {
		t.Fatal(err)
	}
	next := strings.Replace(string(text), "directory: "+s.Destination+"\n", "directory: "+place+"\n", 1)
	if next == string(text) {
		t.Fatalf("the configuration does not name %s:\n%s", s.Destination, text)
	}
	if err := os.WriteFile(s.Agent.Config, []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Destination = place
}

// copyTo copies the place with its modes and times, but for one recording, and returns that one's path. The place is not
// changed by whatever comes later, which the returned function makes sure of.
func (s *site) copyTo(t *testing.T, to string) (missing string, untouched func()) {
	t.Helper()
	old, witness := s.Destination, s.dir()
	do(t, "cp", "-a", old, to)
	do(t, "cp", "-a", old, witness)
	for path := range fleet.Tree(t, to) {
		missing = max(missing, path)
	}
	if err := os.Remove(filepath.Join(to, missing)); err != nil {
		t.Fatal(err)
	}
	return missing, func() { t.Helper(); do(t, "diff", "-r", "--no-dereference", witness, old) }
}

func do(t *testing.T, name string, args ...string) {
	t.Helper()
	if r := fleet.Command(t.Context(), name, args...); r.Status != 0 {
		t.Fatal(r)
	}
}

// answer is the last step of a move.
type answer struct {
	Location string
	Wanted   fleet.Number `json:"wanted_count"`
	Audited  fleet.Number `json:"audited_count"`
	Lost     fleet.Number `json:"lost_count"`
	Result   struct {
		Complete bool
		Message  string
	}
}

// move has the agent move, and returns how that ended.
func (s *site) move(t *testing.T, more ...string) (answer, fleet.Result) {
	t.Helper()
	r := s.Agent.Try(t, append([]string{"destination", "move", fleet.DestinationName, "--output", "json"}, more...)...)
	var a answer
	if err := json.Unmarshal([]byte(r.Stdout), &a); err != nil {
		t.Fatalf("%v: %v\n%s", r, err, fleet.Tail(s.Agent.Log))
	}
	if a.Result.Complete != (r.Status == 0) {
		t.Errorf("the exit status does not fit: %v", r)
	}
	t.Logf("%+v", a)
	return a, r
}

// served returns the paths of what the server served, in that order.
func (s *site) served(t *testing.T) (paths []string) {
	t.Helper()
	items := map[[2]fleet.Number]string{}
	for _, item := range s.Server.Items(t, fleet.TenantName, fleet.DestinationName) {
		items[[2]fleet.Number{item.Manifest, item.Index}] = item.Path
	}
	text, err := os.ReadFile(s.Server.Log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, attributes, ok := strings.Cut(line, `msg="item served" `)
		if !ok {
			continue
		}
		var origin string
		var id [2]fleet.Number
		if _, err := fmt.Sscanf(attributes, "origin=%s manifest=%d index=%d", &origin, &id[0], &id[1]); err != nil {
			t.Fatalf("the server's log: %q: %v", line, err)
		}
		paths = append(paths, items[id])
	}
	return paths
}

// checkExports has the stand-alone verifier check both sides' ledgers.
func (s *site) checkExports(t *testing.T) {
	t.Helper()
	for who, export := range map[string]func(dir string){
		"server": func(dir string) {
			s.Server.Do(t, "ledger", "export", fleet.TenantName, fleet.DestinationName, "--to", dir)
		},
		"agent": func(dir string) {
			s.Agent.Do(t, "ledger", "export", "--destination", fleet.DestinationName, "--to", dir)
		},
	} {
		dir := filepath.Join(t.TempDir(), who)
		export(dir)
		r := fleet.Command(t.Context(), "node", filepath.Join("..", "verifier", "verify.mjs"), "ledger", dir, "--output", "json")
		var summary struct {
			Valid     bool
			NotAgreed int
			Alarms    []json.RawMessage
			Totals    struct{ Counts map[string]int }
		}
		if err := json.Unmarshal([]byte(r.Stdout), &summary); err != nil {
			t.Fatalf("the verifier on the %s's ledger: %v", who, r)
		}
		if !summary.Valid || summary.NotAgreed != 0 || len(summary.Alarms) > 0 || summary.Totals.Counts["confirmed"] != s.WantedCount() {
			t.Errorf("of the %s's ledger the verifier says %s, want %d confirmed", who, r.Stdout, s.WantedCount())
		}
	}
}
