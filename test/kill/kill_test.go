//go:build linux && peers

package kill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

const (
	lanes         = 2   // fleets that are killed side by side
	killsPerLane  = 100 // half at the server, half at the agent
	verifiedEvery = 20  // kills
	// slowBytes is how fast the line is, per second, while there is killing: so slow that it lands in a transfer.
	slowBytes = 2_400_000
	// begunBytes is what the agent must have been given, since both run, before a transfer is called in progress: more
	// than what heads, entries and the lines of manifests amount to.
	begunBytes = 32 << 10
	patience   = time.Minute
)

// TestKill: SIGKILLs, half at the agent and half at the server, while a transfer is in progress. All ends confirmed; what
// was announced is the sum over all states at every check; what was confirmed in the log at the time of a kill is never
// fetched again; and nothing but whole, right files is ever visible.
func TestKill(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	results := make([]tally, lanes)
	t.Run("lanes", func(t *testing.T) {
		for i := range lanes {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				l := newLane(t, rand.New(rand.NewPCG(seed, uint64(i))))
				l.kill(t)
				l.finish(t)
				results[i] = l.tally
			})
		}
	})
	var all tally
	for _, r := range results {
		all.server += r.server
		all.agent += r.agent
		all.recordings += r.recordings
		all.served += r.served
		all.appeared += r.appeared
	}
	t.Logf("%d kills at the server and %d at the agent, each during a transfer; %d recordings, served %d times, seen to appear %d times",
		all.server, all.agent, all.recordings, all.served, all.appeared)
	if all.server < 100 || all.agent < 100 {
		t.Errorf("%d kills at the server and %d at the agent landed during a transfer, want at least 100 each", all.server, all.agent)
	}
}

// tally is what a lane has come to.
type tally struct {
	server, agent                int // kills that landed during a transfer
	recordings, served, appeared int
}

// lane is one fleet that is killed.
type lane struct {
	*fleet.Fleet
	tally
	random    *rand.Rand
	watch     *fleet.Watch
	confirmed map[id]int64    // what the log had as confirmed at a kill, and how long the server's log was at the first such
	swept     map[string]bool // staging folders of agents that are dead
	carried   int64           // by the line, when both began to run last
}

// id names an item of the destination.
type id struct{ manifest, index fleet.Number }

func newLane(t *testing.T, random *rand.Rand) *lane {
	l := &lane{
		Fleet:  fleet.New(t, fleet.Options{Server: "log_level: debug\n"}),
		random: random, confirmed: map[id]int64{}, swept: map[string]bool{},
	}
	l.watch = fleet.NewWatch(t, l.Destination, l.Wanted)
	l.Line.Slow(slowBytes)
	l.feed(t)
	l.Agent.Start(t)
	// Somebody asks for a pass all the time, as soon as there is an agent to ask.
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		for ctx.Err() == nil {
			_, _, _ = l.Agent.RunNow(ctx) // it fails when it is killed; what comes of it all is looked at elsewhere
			time.Sleep(10 * time.Millisecond)
		}
	})
	t.Cleanup(func() { cancel(); asking.Wait() })
	return l
}

// feed makes and seals nights of recordings: small ones, so that batches come to an end between kills, with a few calls
// that are longer than one message.
func (l *lane) feed(t *testing.T) {
	const nights = 20
	l.Record(t, l.random.Uint64(), 15*nights, nights, 20_000)
	l.Record(t, l.random.Uint64(), 3, nights, 300_000)
	l.Seal(t)
}

// kill kills, in random order, as often at the server as at the agent.
func (l *lane) kill(t *testing.T) {
	began := time.Now()
	for k := 0; k < killsPerLane; k += 4 {
		for n, atServer := range l.shuffled(true, true, false, false) {
			l.keepBusy(t)
			l.strike(t, atServer)
			if (k+n+1)%verifiedEvery == 0 {
				l.CheckLedgers(t)
				t.Logf("%3d kills in %s, %d confirmed", k+n+1, time.Since(began).Round(time.Second), len(l.confirmed))
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}

func (l *lane) shuffled(kills ...bool) []bool {
	l.random.Shuffle(len(kills), func(i, j int) { kills[i], kills[j] = kills[j], kills[i] })
	return kills
}

// keepBusy sees to it that there is something left to transfer.
func (l *lane) keepBusy(t *testing.T) {
	open := 0
	for _, n := range l.Nights(t) {
		if n.Counts.Pending > 0 {
			open++
		}
	}
	if open < 20 {
		l.feed(t)
	}
}

// strike kills one side while contents are on their way, and starts it again.
func (l *lane) strike(t *testing.T, atServer bool) {
	l.awaitTransfer(t)
	delay := 600 * time.Millisecond
	if l.random.IntN(4) == 0 {
		delay = 2500 * time.Millisecond // now and then long enough for several batches
	}
	time.Sleep(time.Duration(l.random.Int64N(int64(delay))))
	l.awaitTransfer(t)
	if atServer {
		l.Server.Kill()
		l.Server.Wait()
		l.server++
	} else {
		l.Agent.Kill()
		l.Agent.Wait()
		l.agent++
		for _, folder := range l.staging(t) {
			l.swept[filepath.Dir(folder)] = true
		}
	}
	// Nothing passes until it is known what the log holds at this moment.
	l.Line.Close()
	if atServer {
		l.Server.Start(t)
	}
	l.note(t)
	l.Line.Open()
	if !atServer {
		l.Agent.Start(t)
	}
	l.carried = l.Line.Carried()
	l.CheckSums(t)
}

// awaitTransfer returns at a moment at which the agent has begun to stage a batch and the line holds some of its bytes.
func (l *lane) awaitTransfer(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if l.Line.Carried()-l.carried > begunBytes && len(l.staging(t)) > 0 && l.Line.OnTheWay() > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no transfer in %s: %d bytes since the last kill, %d on the way, staging %q\n%v\n%s",
				patience, l.Line.Carried()-l.carried, l.Line.OnTheWay(), l.staging(t), l.Agent.Only(t), fleet.Tail(l.Agent.Log))
		}
	}
}

// staging returns the files that the agent has in staging now, without what dead ones left.
func (l *lane) staging(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(l.Destination, ".wolkvox", "staging", "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var live []string
	for _, f := range files {
		if !l.swept[filepath.Dir(f)] {
			live = append(live, f)
		}
	}
	return live
}

// note takes down what the log has as confirmed. Nothing of it may be served from here on.
func (l *lane) note(t *testing.T) {
	t.Helper()
	at := size(t, l.Server.Log)
	now := map[id]bool{}
	for _, item := range l.Server.Items(t, fleet.TenantName, fleet.DestinationName, "confirmed") {
		i := id{item.Manifest, item.Index}
		now[i] = true
		if _, known := l.confirmed[i]; !known {
			l.confirmed[i] = at
		}
	}
	for i := range l.confirmed {
		if !now[i] {
			t.Errorf("item %d of manifest %d was confirmed, and is not any more", i.index, i.manifest)
		}
	}
}

// finish lets everything arrive, and looks at the whole.
func (l *lane) finish(t *testing.T) {
	l.Line.Slow(0)
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if only := l.Agent.Only(t); only.Counts.Pending == 0 && only.Outbox == 0 && only.Agreed == only.Position {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not complete %s after the last kill: %v\n%s", patience, l.Agent.Only(t), fleet.Tail(l.Agent.Log))
		}
	}
	l.CheckSums(t)
	l.CheckComplete(t)
	appeared, problems := l.watch.Stop(t)
	for _, p := range problems {
		t.Errorf("watch: %s", p)
	}
	l.recordings, l.appeared = l.WantedCount(), appeared
	if appeared != l.recordings {
		t.Errorf("%d files were seen to appear, want %d", appeared, l.recordings)
	}
	l.checkServed(t)
}

// checkServed reads the server's log, where it counts what it serves.
func (l *lane) checkServed(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(l.Server.Log)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	distinct := map[id]bool{}
	for line := range strings.Lines(string(text)) {
		at += int64(len(line))
		_, attributes, ok := strings.Cut(line, `msg="item served" `)
		if !ok {
			continue
		}
		var origin string
		var i id
		if _, err := fmt.Sscanf(attributes, "origin=%s manifest=%d index=%d", &origin, &i.manifest, &i.index); err != nil {
			t.Fatalf("the server's log: %q: %v", line, err)
		}
		l.served++
		distinct[i] = true
		if since, confirmed := l.confirmed[i]; confirmed && at > since {
			t.Errorf("item %d of manifest %d was served again although it was confirmed at an earlier kill: %s", i.index, i.manifest, line)
		}
	}
	if len(distinct) != l.WantedCount() {
		t.Errorf("the server counted %d recordings that it served, want %d: is its count complete?", len(distinct), l.WantedCount())
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
