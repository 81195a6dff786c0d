//go:build linux && peers

package byhand

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// later is by how much the clocks go forward for the nights to be closed.
const later = 20 * 24 * time.Hour

// site is a fleet that has recordings that expired.
type site struct {
	*fleet.Fleet
	expired []string // their paths, ascending
}

// newSite has one night of count recordings, of which the first half is confirmed. In the places of the others lay something
// else until the night was closed; it has been moved away.
func newSite(t *testing.T, count int) *site {
	t.Helper()
	s := &site{Fleet: fleet.New(t, fleet.Options{Agent: "heartbeat: 1s\n", Server: "door:\n  listen: 127.0.0.1:0\n"})}
	s.Record(t, 1, count, 1, 20_000)
	s.Seal(t)
	var paths []string
	for _, item := range s.Server.Items(t, fleet.TenantName, fleet.DestinationName) {
		paths = append(paths, item.Path)
	}
	slices.Sort(paths)
	s.expired = paths[len(paths)/2:]
	for _, path := range s.expired {
		write(t, filepath.Join(s.Destination, path), "somebody else's")
	}
	if r := s.RunOnce(t); r.Status == 0 {
		t.Fatalf("a night with conflicts ends well: %v", r)
	}
	s.Server.Kill()
	s.Server.Wait()
	s.Server.StartWithClock(t, later)
	s.Agent.StartWithClock(t, later)
	await(t, "the night is closed", func() bool { return int(s.Agent.Only(t).Counts.Expired) == len(s.expired) })
	for _, path := range s.expired {
		if err := os.Remove(filepath.Join(s.Destination, path)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !is(); time.Sleep(500 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within three minutes", what)
		}
	}
}

// lines decodes JSON objects, one on each line.
func lines[T any](t *testing.T, text string) (all []T) {
	t.Helper()
	for line := range strings.Lines(text) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, v)
	}
	return all
}

// listed is a line of `expired list`.
type listed struct {
	Item  fleet.Item
	Night string
}

// said is a line of `import`.
type said struct {
	Name, Outcome, Message string
	Paths                  []string
	Summary                map[string]int
}

// bring imports a folder and returns what was said of each file, and the summary.
func (s *site) bring(t *testing.T, dir string, status int) (map[string]said, map[string]int) {
	t.Helper()
	r := s.Agent.Try(t, "import", dir, "--by", "Ana Pérez", "--output", "json")
	if r.Status != status {
		t.Fatalf("want status %d: %v\n%s", status, r, fleet.Tail(s.Agent.Log))
	}
	all, summary := map[string]said{}, map[string]int{}
	for _, l := range lines[said](t, r.Stdout) {
		if l.Summary != nil {
			summary = l.Summary
			continue
		}
		all[l.Name] = l
	}
	return all, summary
}

// checkBag has the Library of Congress' program judge a bag.
func checkBag(t *testing.T, dir string, good bool) {
	t.Helper()
	program := filepath.Join(filepath.Dir(fleet.Program(t, "wolkvox-agent")), "peers", "bagit", "bagit.py")
	r := fleet.Command(t.Context(), "/usr/bin/python3", program, "--validate", dir)
	if (r.Status == 0) != good {
		t.Errorf("want it to be valid: %t; %v", good, r)
	}
}

// TestByHand lets recordings expire, and has each of them end where a person wants it: on both sides, with one head.
func TestByHand(t *testing.T) {
	s := newSite(t, 24)
	list := lines[listed](t, s.Agent.Do(t, "expired", "list", "--output", "json"))
	var names []string
	for _, l := range list {
		names = append(names, l.Item.Path)
		if l.Item.LastFault == nil || l.Item.LastFault.Party != "client" || l.Item.LastFault.Code != "CONFLICT" {
			t.Errorf("%s expired because of %+v, want the conflict", l.Item.Path, l.Item.LastFault)
		}
	}
	if slices.Sort(names); !slices.Equal(names, s.expired) {
		t.Fatalf("listed are %q, want %q", names, s.expired)
	}
	text := s.Server.Do(t, "night", "certificate", fleet.TenantName, fleet.DestinationName, "1")
	for _, want := range append([]string{"12 confirmed, 0 pending, 12 expired", "integrity (client)"}, s.expired...) {
		if !strings.Contains(text, want) {
			t.Errorf("the certificate does not say %q:\n%s", want, text)
		}
	}

	// Fetched on demand: one by its path.
	if r := s.Agent.Try(t, "expired", "fetch", "--path", "no/such"); r.Status == 0 || !strings.Contains(r.Stderr, "no/such") {
		t.Errorf("a recording that is not expired was fetched: %v", r)
	}
	s.Agent.Do(t, "expired", "fetch", "--path", s.expired[0])
	s.counts(t, "after one was fetched", 1, 0)

	// Declined: one.
	s.Agent.Do(t, "expired", "waive", "--path", s.expired[1], "--reason", "kept-elsewhere", "--by", "Ana Pérez")
	s.counts(t, "after one was declined", 1, 1)

	// Exported, interrupted and gone on with, and judged by others.
	dir := filepath.Join(t.TempDir(), "bag")
	s.Agent.Do(t, "expired", "export", dir)
	checkBag(t, dir, true)
	bagged := slices.Sorted(maps.Keys(fleet.Tree(t, filepath.Join(dir, "data"))))
	if !slices.Equal(bagged, s.expired[2:]) {
		t.Fatalf("in the bag are %q, want %q", bagged, s.expired[2:])
	}
	lostOnTheWay := filepath.Join(dir, "data", bagged[3])
	if err := os.Remove(lostOnTheWay); err != nil {
		t.Fatal(err)
	}
	checkBag(t, dir, false)
	s.Agent.Do(t, "expired", "export", dir)
	checkBag(t, dir, true)

	s.completeElsewhere(t)

	// Carried, and damaged on the way: one has a flipped bit, one has something else under its name, one is a stranger.
	carried := filepath.Join(t.TempDir(), "carried")
	if r := fleet.Command(t.Context(), "cp", "-r", dir, carried); r.Status != 0 {
		t.Fatal(r)
	}
	flipped := filepath.Join(carried, "data", bagged[0])
	data, err := os.ReadFile(flipped)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	write(t, flipped, string(data))
	write(t, filepath.Join(carried, "data", bagged[1]), "another file")
	write(t, filepath.Join(carried, "data", "stranger.gsm"), "nobody's")
	if err := os.Symlink("/etc/passwd", filepath.Join(carried, "data", "link")); err != nil {
		t.Fatal(err)
	}
	results, summary := s.bring(t, carried, 1)
	for name, want := range map[string]string{bagged[0]: "refused", bagged[1]: "refused", "stranger.gsm": "refused", "link": "left_out", bagged[2]: "confirmed"} {
		if results[name].Outcome != want {
			t.Errorf("%s is %+v, want it %s", name, results[name], want)
		}
	}
	for _, name := range bagged[:2] {
		if m := results[name].Message; !strings.Contains(m, "other contents") || !strings.Contains(m, name) || !strings.Contains(m, "damaged on the way") {
			t.Errorf("%s was refused with %q, which does not say whose name it has", name, m)
		}
	}
	if want := len(bagged) - 2; summary["confirmed"] != want || summary["refused"] != 3 || summary["left_out"] != 1 {
		t.Errorf("the import says %v, want %d confirmed", summary, want)
	}
	s.counts(t, "after the import", 1+len(bagged)-2, 1)

	// Again, from a plain folder, under other names: the damaged ones and the declined one, whole.
	plain := t.TempDir()
	for i, path := range []string{bagged[0], bagged[1], s.expired[1], bagged[2]} {
		text, err := os.ReadFile(s.source(path))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(plain, "folder", string(rune('a'+i))), string(text))
	}
	results, summary = s.bring(t, plain, 0)
	if summary["confirmed"] != 3 || summary["confirmed_before"] != 1 || results["folder/d"].Outcome != "confirmed_before" {
		t.Errorf("the second import says %v and %v, want 3 confirmed and 1 that was before", summary, results)
	}
	s.counts(t, "at the end", len(s.expired), 0)
	s.checkEnd(t)
}

// source returns where a recording lies at the source.
func (s *site) source(path string) string {
	return filepath.Join(s.Source, strings.TrimPrefix(path, fleet.SourceName+"/"))
}

// counts compares both sides with how many of the expired recordings are confirmed and declined.
func (s *site) counts(t *testing.T, when string, confirmed, waived int) {
	t.Helper()
	want := fleet.Counts{Confirmed: fleet.Number(s.WantedCount() - len(s.expired) + confirmed), Waived: fleet.Number(waived), Expired: fleet.Number(len(s.expired) - confirmed - waived)}
	agent := s.Agent.Only(t)
	var server fleet.Counts
	for _, night := range s.Nights(t) {
		server.Confirmed += night.Counts.Confirmed
		server.Expired += night.Counts.Expired
		server.Waived += night.Counts.Waived
	}
	if agent.Counts != want || server != want {
		t.Errorf("%s the agent has %+v and the server %+v, want %+v", when, agent.Counts, server, want)
	}
	if position, agreed := s.Server.Ledger(t, fleet.TenantName, fleet.DestinationName); position != agreed || agreed != agent.Agreed {
		t.Errorf("%s the log is %+v, agreed are %+v and %+v", when, position, agreed, agent.Agreed)
	}
}

// checkEnd looks at what is left: the files, the ledgers, the certificate, and where the person is named.
func (s *site) checkEnd(t *testing.T) {
	t.Helper()
	s.CheckDestination(t, true)
	s.CheckLedgers(t)
	dir := filepath.Join(t.TempDir(), "ledger")
	s.Agent.Do(t, "ledger", "export", "--destination", fleet.DestinationName, "--to", dir)
	if r := fleet.Command(t.Context(), "node", filepath.Join("..", "verifier", "verify.mjs"), "ledger", dir); r.Status != 0 {
		t.Errorf("the verifier: %v", r)
	}
	acts, err := os.ReadFile(filepath.Join(s.Agent.State, "acts.log"))
	if err != nil || strings.Count(string(acts), "Ana Pérez") < 3 || !strings.Contains(string(acts), `"user":`) {
		t.Errorf("the list of acts is %s, %v", acts, err)
	}
	if r := fleet.Command(t.Context(), "grep", "-rl", "Ana", dir); r.Status != 1 {
		t.Errorf("the ledger names a person: %v", r)
	}
	text := s.Server.Do(t, "night", "certificate", fleet.TenantName, fleet.DestinationName, "1")
	for _, want := range []string{"EXPIRY CERTIFICATE", "by-hand", "kept-elsewhere", "none kept", "24 confirmed", "closed", "signed by both sides"} {
		if !strings.Contains(text, want) {
			t.Errorf("the certificate does not say %q:\n%s", want, text)
		}
	}
	if text := s.Server.Do(t, "night", "certificate", fleet.TenantName, fleet.DestinationName, "1", "--language", "es"); !strings.Contains(text, "CERTIFICADO DE VENCIMIENTO") {
		t.Errorf("in Spanish it says:\n%s", text)
	}
	t.Log(text)
}
