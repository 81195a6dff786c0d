//go:build linux && peers

package powercut

import (
	"context"
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
	cuts          = 50
	verifiedEvery = 10
	volumeBytes   = 256 << 20
	// slowBytes is how fast the line is, per second: batches begin and end all the time, and there is always more to come.
	slowBytes = 2_000_000
)

// outage is a kind of power cut: what loses power together.
type outage struct {
	name                                 string
	destination, agentStore, serverStore bool // the disks
	agent, server                        bool // the processes
}

// outages are taken in turn, in random order, so that each has its share.
func outages() []outage {
	return []outage{
		{"everything", true, true, true, true, true},
		{"everything", true, true, true, true, true},
		{"the agent's machine", true, true, false, true, false},
		{"the destination", true, false, false, true, false},
		{"the agent's store", false, true, false, true, false},
		{"the server's store", false, false, true, false, true},
	}
}

// TestPowerCut cuts the power at random instants of a night that never ends: of the destination's, the agent's and the
// server's disk at once, or of some of them. What the log had as confirmed before is confirmed afterwards, and whole at
// the destination; the agent goes on by itself; and at the end everything is confirmed and agreed.
func TestPowerCut(t *testing.T) {
	sweep(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := newWorld(t, rand.New(rand.NewPCG(seed, 0)))
	began := time.Now()
	var kinds []outage
	for n := range cuts {
		if len(kinds) == 0 {
			kinds = outages()
			w.random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		}
		l := loss(w.random.IntN(int(losses)))
		w.cut(t, kinds[0], l)
		if t.Failed() {
			t.Fatalf("cut %d: power lost by %s, of what was not flushed: lost %v", n+1, kinds[0].name, l)
		}
		kinds = kinds[1:]
		if (n+1)%verifiedEvery == 0 {
			w.CheckLedgers(t)
			t.Logf("%d cuts in %s, %d recordings confirmed", n+1, time.Since(began).Round(time.Second), len(w.confirmed))
		}
	}
	w.finish(t)
	t.Logf("%d cuts in %s, %d recordings, all confirmed; flushes since the last cuts: destination %d, agent %d, server %d", cuts,
		time.Since(began).Round(time.Second), w.WantedCount(), w.destination.image.flushed(), w.agentStore.image.flushed(), w.serverStore.image.flushed())
}

// world is a fleet on disks that forget.
type world struct {
	*fleet.Fleet
	random                               *rand.Rand
	destination, agentStore, serverStore *volume
	confirmed                            map[string]bool // paths
	carried                              int64           // by the line, when all began to run last
}

func newWorld(t *testing.T, random *rand.Rand) *world {
	t.Helper()
	w := &world{
		random: random, confirmed: map[string]bool{},
		destination: newVolume(t, "destination", volumeBytes), agentStore: newVolume(t, "agent", volumeBytes), serverStore: newVolume(t, "server", volumeBytes),
	}
	w.Fleet = fleet.New(t, fleet.Options{
		ServerState: filepath.Join(w.serverStore.dir, "state"), AgentState: filepath.Join(w.agentStore.dir, "state"), Destination: w.destination.dir,
	})
	w.Line.Slow(slowBytes)
	w.feed(t)
	w.Agent.Start(t)
	// Somebody asks for a pass all the time, as soon as there is an agent to ask.
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		for ctx.Err() == nil {
			_, _, _ = w.Agent.RunNow(ctx) // it fails when the agent is killed; what comes of it all is looked at elsewhere
			time.Sleep(10 * time.Millisecond)
		}
	})
	t.Cleanup(func() {
		cancel()
		asking.Wait()
		w.Agent.Kill()
		w.Server.Kill()
		w.Agent.Wait()
		w.Server.Wait() // before the volumes are unmounted
	})
	return w
}

// feed makes and seals small nights, so that batches are small too.
func (w *world) feed(t *testing.T) {
	t.Helper()
	const nights = 20
	w.Record(t, w.random.Uint64(), 8*nights, nights, 12_000)
	w.Seal(t)
}

func (w *world) keepBusy(t *testing.T) {
	t.Helper()
	pending := 0
	for _, n := range w.Nights(t) {
		if n.Counts.Pending > 0 {
			pending++
		}
	}
	if pending < 20 {
		w.feed(t)
	}
}

// cut waits for a transfer and a random while, pulls the plug, lets everything start again, and compares.
func (w *world) cut(t *testing.T, o outage, l loss) {
	t.Helper()
	w.keepBusy(t)
	w.awaitTransfer(t)
	time.Sleep(time.Duration(w.random.Int64N(int64(500 * time.Millisecond))))
	w.note(t)
	time.Sleep(time.Duration(w.random.Int64N(int64(200 * time.Millisecond))))

	var volumes []*volume
	var processes []process
	for _, v := range []struct {
		v   *volume
		cut bool
	}{{w.destination, o.destination}, {w.agentStore, o.agentStore}, {w.serverStore, o.serverStore}} {
		if v.cut {
			volumes = append(volumes, v.v)
		}
	}
	if o.agent {
		processes = append(processes, w.Agent)
	}
	if o.server {
		processes = append(processes, w.Server)
	}
	if err := powerCut(w.random, l, volumes, processes...); err != nil {
		t.Fatal(err)
	}

	// Nothing passes until it is known what the log holds after the cut.
	w.Line.Close()
	if o.server {
		w.Server.Start(t)
	}
	w.note(t)
	w.checkPresent(t)
	w.Line.Open()
	if o.agent {
		w.Agent.Start(t)
	}
	w.carried = w.Line.Carried()
	w.CheckSums(t)
	for _, log := range []string{w.Agent.Log, w.Server.Log} {
		checkLog(t, log)
	}
}

// awaitTransfer returns when the agent is fetching again.
func (w *world) awaitTransfer(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(2 * patience); w.Line.Carried()-w.carried < 32<<10 || w.Line.OnTheWay() == 0; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the agent has not gone on in %s\n%v\n%s", 2*patience, w.Agent.Only(t), fleet.Tail(w.Agent.Log))
		}
	}
}

// note takes down what the server's log has as confirmed; what it had before must be among it.
func (w *world) note(t *testing.T) {
	t.Helper()
	now := map[string]bool{}
	for _, item := range w.Server.Items(t, fleet.TenantName, fleet.DestinationName, "confirmed") {
		now[item.Path] = true
	}
	for path := range w.confirmed {
		if !now[path] {
			t.Errorf("%s was confirmed, and is not any more", path)
		}
	}
	w.confirmed = now
}

// checkPresent makes sure that what is confirmed is at the destination, and that nothing there is not whole.
func (w *world) checkPresent(t *testing.T) {
	t.Helper()
	there := fleet.Tree(t, w.Destination)
	for path := range w.confirmed {
		if there[path] == "" {
			t.Errorf("%s is confirmed, and missing at the destination", path)
		}
	}
	for path, sum := range there {
		if want, ok := w.Wanted(path); !ok || want != sum {
			t.Errorf("%s is visible with the SHA-256 %s, want %q (confirmed: %v)", path, sum, want, w.confirmed[path])
		}
	}
}

// checkLog looks for what must never be said where disks keep what they flushed: that one side went back in time.
func checkLog(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "went back in time") {
			t.Errorf("%s: %s", filepath.Base(path), line)
		}
	}
}

// finish lets everything arrive, and looks at the whole.
func (w *world) finish(t *testing.T) {
	t.Helper()
	w.Line.Slow(0)
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(100 * time.Millisecond) {
		if only := w.Agent.Only(t); only.Counts.Pending == 0 && only.Outbox == 0 && only.Agreed == only.Position {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not complete %s after the last cut: %v\n%s", 2*patience, w.Agent.Only(t), fleet.Tail(w.Agent.Log))
		}
	}
	w.CheckSums(t)
	w.CheckComplete(t)
}
