//go:build linux && peers

package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// patience bounds what the programs do by themselves within moments.
const patience = 90 * time.Second

// party is one destination with the agent that serves it, as seen from outside.
type party struct {
	server    *fleet.Server
	agent     *fleet.Agent
	name      string // of the destination
	directory string
	looks     []look
}

// look is what lay at a destination when the server's log had a size: nothing of it may be served from there on.
type look struct {
	logBytes int64
	there    map[string]string
}

// note takes down what is at the destination now. The agent must not run.
func (p *party) note(t *testing.T) {
	t.Helper()
	info, err := os.Stat(p.server.Log)
	if err != nil {
		t.Fatal(err)
	}
	p.looks = append(p.looks, look{info.Size(), fleet.Tree(t, p.directory)})
}

// checkServed makes sure that nothing was served that lay at the destination already.
func (p *party) checkServed(t *testing.T) (served int) {
	t.Helper()
	paths := map[[2]fleet.Number]string{}
	for _, item := range p.server.Items(t, fleet.TenantName, p.name) {
		paths[[2]fleet.Number{item.Manifest, item.Index}] = item.Path
	}
	text, err := os.ReadFile(p.server.Log)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for line := range strings.Lines(string(text)) {
		at += int64(len(line))
		_, attributes, ok := strings.Cut(line, `msg="item served" `)
		if !ok {
			continue
		}
		var origin string
		var id [2]fleet.Number
		if _, err := fmt.Sscanf(attributes, "origin=%s manifest=%d index=%d", &origin, &id[0], &id[1]); err != nil {
			t.Fatalf("the server's log: %q: %v", line, err)
		}
		if !strings.Contains(origin, "/"+p.name+"/") {
			continue
		}
		served++
		for _, l := range p.looks {
			if _, there := l.there[paths[id]]; there && at > l.logBytes {
				t.Errorf("%s: %s was served although it was at the destination already: %s", p.name, paths[id], line)
				break
			}
		}
	}
	return served
}

// run asks the running agent for passes until nothing is pending and both sides have agreed on one head.
func (p *party) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last string
	for ctx.Err() == nil {
		complete, message, err := p.agent.RunNow(ctx)
		last = fmt.Sprintf("complete %v, %s, %v", complete, message, err)
		if complete && p.together(t) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("%s: the sides did not come together: %s\n%s\n%s", p.name, last, p.state(t), fleet.Tail(p.agent.Log))
}

// together reports whether log, agreement and both sides are at one head.
func (p *party) together(t *testing.T) bool {
	t.Helper()
	position, agreed := p.server.Ledger(t, fleet.TenantName, p.name)
	only := p.agent.Only(t)
	return position == agreed && only.Position == position && only.Agreed == position && only.Outbox == 0 && only.Counts.Pending == 0
}

func (p *party) state(t *testing.T) string {
	t.Helper()
	position, agreed := p.server.Ledger(t, fleet.TenantName, p.name)
	return fmt.Sprintf("server: log %+v, agreed %+v\nagent: %v\nalarms: %v", position, agreed, p.agent.Only(t), p.alarms(t))
}

// alarms returns the kinds of the alarms that stand for the destination.
func (p *party) alarms(t *testing.T) (kinds []string) {
	t.Helper()
	var answer struct {
		Alarms []struct{ Kind, Destination string }
	}
	p.server.Ask(t, &answer, "alarms")
	for _, a := range answer.Alarms {
		if a.Destination == p.name {
			kinds = append(kinds, a.Kind)
		}
	}
	return kinds
}

// check makes sure that both sides are at one head that folds from nothing, that the destination holds exactly what was
// wanted, and that the stand-alone verifier, given the exports of both, says the same.
func (p *party) check(t *testing.T, wanted map[string]string) {
	t.Helper()
	server, agent := p.server.Verify(t, fleet.TenantName, p.name), p.agent.Verify(t, p.name)
	if len(server.Problems)+len(agent.Problems) > 0 || server.Position != agent.Position || server.Counts != agent.Counts {
		t.Errorf("%s: the sides differ:\nserver %+v\nagent  %+v", p.name, server, agent)
	}
	if server.Agreed != server.Position || agent.Agreed != agent.Position {
		t.Errorf("%s: the last head is not agreed: server %+v, agent %+v", p.name, server, agent)
	}
	if server.Counts.Pending+server.Counts.Expired > 0 || int(server.Counts.Confirmed) != len(wanted) {
		t.Errorf("%s: %d recordings must arrive, the ledger has %+v", p.name, len(wanted), server.Counts)
	}
	there := fleet.Tree(t, p.directory)
	for path, sum := range wanted {
		if there[path] != sum {
			t.Errorf("%s: the destination has %s with the SHA-256 %q, want %s", p.name, path, there[path], sum)
		}
	}
	if len(there) != len(wanted) {
		t.Errorf("%s: the destination holds %d files, want %d", p.name, len(there), len(wanted))
	}
	if kinds := p.alarms(t); len(kinds) > 0 {
		t.Errorf("%s: alarms stand: %v", p.name, kinds)
	}
	p.checkExports(t, server)
}

// checkExports has the stand-alone verifier check both copies.
func (p *party) checkExports(t *testing.T, want fleet.Report) {
	t.Helper()
	for who, export := range map[string]func(dir string){
		"server": func(dir string) { p.server.Do(t, "ledger", "export", fleet.TenantName, p.name, "--to", dir) },
		"agent":  func(dir string) { p.agent.Do(t, "ledger", "export", "--destination", p.name, "--to", dir) },
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
			t.Errorf("%s: the verifier on the %s's ledger: %v", p.name, who, r)
			continue
		}
		if !summary.Valid || summary.NotAgreed != 0 || len(summary.Alarms) > 0 ||
			summary.Totals.Counts["confirmed"] != int(want.Counts.Confirmed) || summary.Totals.Counts["withdrawn"] != int(want.Counts.Withdrawn) {
			t.Errorf("%s: of the %s's ledger the verifier says %s, want %+v", p.name, who, r.Stdout, want.Counts)
		}
	}
}

// copyTree copies a directory with its modes and times.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if r := fleet.Command(t.Context(), "cp", "-a", from, to); r.Status != 0 {
		t.Fatal(r)
	}
}

// putBack replaces a directory by a copy of another.
func putBack(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	copyTree(t, from, to)
}
