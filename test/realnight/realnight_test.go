//go:build linux && peers

package realnight

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/test/fleet"
)

const (
	tenant      = "acme"
	destination = "nas"
	sourceName  = "sounds"
)

// item is a recording as the operator's commands show it.
type item struct {
	fleet.Item
	SHA256 fleet.Hash
	Kind   string
}

func (i item) state() string { return strings.ToLower(strings.TrimPrefix(i.State, "ITEM_STATE_")) }
func (i item) kind() string  { return strings.ToLower(strings.TrimPrefix(i.Kind, "MEDIA_KIND_")) }

// site is a server, an agent, and where the recordings are and go.
type site struct {
	server        *fleet.Server
	agent         *fleet.Agent
	source, place string
	keys          fingerprints
	midnight      time.Time // when the night ends in which the destination was made
	exports       string
}

// beforeMidnight is how long after the tenant was made its midnight comes: longer than it takes to make a destination.
const beforeMidnight = 30 * time.Second

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{source: filepath.Join(dir, "source"), place: filepath.Join(dir, "destination"), exports: filepath.Join(dir, "exports")}
	for _, d := range []string{s.source, s.place, s.exports} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.midnight = time.Now().Add(beforeMidnight)
	makeZone(t, s.midnight)
	s.server = fleet.NewServer(t, dir, filepath.Join(dir, "server"), "")
	s.server.Start(t)
	line := fleet.NewLine(t, s.server.Address)
	s.server.Do(t, "tenant", "add", tenant, "--time-zone", soon, "--window", "00:00-00:00", "--cut-off", "00:00", "--quiet", "0s")
	s.server.Do(t, "source", "add", tenant, sourceName, "--directory", s.source)
	s.server.Do(t, "destination", "add", tenant, destination, "--kind", "rsync")
	if time.Now().After(s.midnight) {
		t.Fatalf("it took more than %v to make a destination", beforeMidnight)
	}
	s.agent = fleet.NewAgent(t, fleet.AgentOptions{
		Dir: dir, State: filepath.Join(dir, "agent"), Destination: destination, Directory: s.place,
	})
	s.keys = readFingerprints(t, s.agent.Do(t, "enroll", s.server.Join(t, tenant, destination, line.Address())))
	s.agent.Do(t, "destination", "init", destination)
	return s
}

// items returns all recordings, as the server's operator sees them.
func (s *site) items(t *testing.T) (items []item) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewBufferString(s.server.Do(t, "items", tenant, destination, "--output", "json")))
	for {
		var one item
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return items
		}
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, one)
	}
}

// export exports the ledger on both sides, which must be the same to the byte, and returns the directory of one.
func (s *site) export(t *testing.T) string {
	t.Helper()
	ofServer, ofAgent := filepath.Join(s.exports, "server"), filepath.Join(s.exports, "agent")
	s.server.Do(t, "ledger", "export", tenant, destination, "--to", ofServer)
	s.agent.Do(t, "ledger", "export", "--destination", destination, "--to", ofAgent)
	output(t, "", "diff", "-r", ofServer, ofAgent)
	return ofServer
}

// checkSides makes sure that both sides find their ledgers well and agree on their heads.
func (s *site) checkSides(t *testing.T) {
	t.Helper()
	server, agent := s.server.Verify(t, tenant, destination), s.agent.Verify(t, destination)
	if len(server.Problems)+len(agent.Problems) > 0 {
		t.Errorf("problems: server %q, agent %q", server.Problems, agent.Problems)
	}
	if diff := cmp.Diff(server, agent); diff != "" {
		t.Errorf("the sides differ (-server +agent):\n%s", diff)
	}
	if agent.Agreed != agent.Position {
		t.Errorf("the agreed head is %v, the log %v", agent.Agreed, agent.Position)
	}
}

// TestRealNight copies real recordings of three nights, of which one was changed after it was sealed, and takes in a night
// without any.
func TestRealNight(t *testing.T) {
	s := newSite(t)
	want := makeSounds(t, s.source)
	total := 0
	for _, count := range want {
		total += count
	}
	s.server.Do(t, "seal", tenant, "--wait")
	changed, replacement := changeSound(t, s.source)
	want["other"]++
	s.server.Do(t, "seal", tenant, "--wait")
	sums := filepath.Join(t.TempDir(), "sums")
	output(t, s.source, "bash", "-euo", "pipefail", "-c",
		`find . -type f ! -name '.wolkvox*' -print0 | sort -z | xargs -0 sha256sum | sed "s,$1\$,$2," > "$3"`, "bash", changed, replacement, sums)

	began := time.Now()
	s.agent.Do(t, "run", "--once")
	t.Logf("%d recordings copied in %v", total, time.Since(began).Round(time.Millisecond))
	empty := s.sealEmptyNight(t)
	s.agent.Do(t, "run", "--once")

	checked := output(t, filepath.Join(s.place, sourceName), "sha256sum", "--check", "--strict", sums)
	if got := strings.Count(checked, ": OK\n"); got != total {
		t.Errorf("sha256sum finds %d files as they must be, want %d", got, total)
	}
	if there := fleet.Tree(t, s.place); len(there) != total {
		t.Errorf("the destination holds %d files, want %d", len(there), total)
	}
	s.agent.Do(t, "status") // its exit status says that all is well
	s.checkSides(t)

	items := s.items(t)
	kinds := map[string]int{}
	for _, i := range items {
		kinds[i.kind()]++
		want := "confirmed"
		if i.Path == sourceName+"/"+changed {
			want = "withdrawn"
		}
		if i.state() != want {
			t.Errorf("%s is %s, want %s", i.Path, i.state(), want)
		}
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	export := s.export(t)
	checkExport(t, export, s.keys, items)
	if info, err := os.Stat(filepath.Join(export, "manifests", fmt.Sprint(empty)+".txt")); err != nil || info.Size() != 0 {
		t.Errorf("the manifest of the empty night: %v, %v", info, err)
	}
	for kind := range want {
		at := slices.IndexFunc(items, func(i item) bool { return i.kind() == kind })
		if at < 0 {
			t.Fatalf("no recording is of the kind %s", kind)
		}
		checkProof(t, export, s.keys, items[at])
	}
	checkTampering(t, export, items[0])
}

// sealEmptyNight starts the server again after midnight: it seals the night that is over, in which nothing was recorded,
// and nothing else. It returns the manifest's number.
func (s *site) sealEmptyNight(t *testing.T) fleet.Number {
	t.Helper()
	time.Sleep(time.Until(s.midnight) + time.Second)
	s.server.Kill()
	s.server.Wait()
	s.server.Start(t)
	const before = 4 // three nights with recordings, and the replacement
	nights := s.server.Nights(t, tenant, destination)
	for patience := time.Now().Add(time.Minute); len(nights) == before; nights = s.server.Nights(t, tenant, destination) {
		if time.Now().After(patience) {
			t.Fatalf("no night was sealed at midnight\n%s", fleet.Tail(s.server.Log))
		}
		time.Sleep(100 * time.Millisecond)
	}
	empty := nights[len(nights)-1]
	if len(nights) != before+1 || empty.Items != 0 || empty.Manifest != before+1 {
		t.Fatalf("after midnight the nights are %+v", nights)
	}
	return empty.Manifest
}
