//go:build linux && peers

package recovery

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

func newParty(f *fleet.Fleet) *party {
	return &party{server: f.Server, agent: f.Agent, name: fleet.DestinationName, directory: f.Destination}
}

// wanted returns all that has to be at the destination of a fleet.
func wanted(t *testing.T, f *fleet.Fleet) map[string]string {
	t.Helper()
	all := map[string]string{}
	for path, sum := range fleet.Tree(t, f.Source) {
		all[fleet.SourceName+"/"+path] = sum
	}
	return all
}

// restores is how often the agent's state is put back.
const restores = 50

// TestAgentStateRestored puts older copies of the agent's whole state back, of random age, again and again while one
// night is copied. Nothing is pulled that is there already, nothing is called a clone, and all comes to one head.
func TestAgentStateRestored(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	f := fleet.New(t, fleet.Options{Server: "log_level: debug\n", Agent: "heartbeat: 1s\n"})
	p := newParty(f)
	feed := func() {
		f.Record(t, random.Uint64(), 200, 10, 20_000)
		f.Seal(t)
	}
	feed()
	copies := []string{filepath.Join(t.TempDir(), "0")}
	copyTree(t, f.Agent.State, copies[0])
	f.Agent.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		for ctx.Err() == nil {
			_, _, _ = f.Agent.RunNow(ctx) // it fails while there is no agent
			time.Sleep(10 * time.Millisecond)
		}
	})
	f.Line.Slow(2_000_000)
	ages := 0
	for k := range restores {
		time.Sleep(time.Duration(random.IntN(900)) * time.Millisecond)
		f.Agent.Kill()
		f.Agent.Wait()
		p.note(t)
		if k%3 == 0 {
			to := filepath.Join(t.TempDir(), fmt.Sprint(len(copies)))
			copyTree(t, f.Agent.State, to)
			copies = append(copies, to)
		}
		back := random.IntN(len(copies))
		ages += len(copies) - back
		putBack(t, copies[back], f.Agent.State)
		if f.Agent.Start(t); k%5 == 4 {
			feed()
		}
		f.CheckSums(t)
	}
	cancel()
	asking.Wait()
	f.Line.Slow(0)
	p.run(t)
	p.check(t, wanted(t, f))
	t.Logf("%d restores, on average %d copies old; %d recordings, served %d times", restores, ages/restores, f.WantedCount(), p.checkServed(t))
}

// TestAgentStoreDamaged cuts off, zeroes and removes each file of the agent's store in turn. Each time the agent starts by
// itself, comes back from the server and from what is at the destination, and pulls nothing twice.
func TestAgentStoreDamaged(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{Server: "log_level: debug\n", Agent: "heartbeat: 1s\n"})
	p := newParty(f)
	f.Record(t, 1, 300, 5, 10_000)
	f.Seal(t)
	f.Agent.Start(t)
	p.run(t)
	stop := func() {
		f.Agent.Kill()
		f.Agent.Wait()
		p.note(t)
	}
	stop()
	store := filepath.Join(f.Agent.State, "store")
	good := filepath.Join(t.TempDir(), "good")
	copyTree(t, store, good)
	names, err := os.ReadDir(good)
	if err != nil {
		t.Fatal(err)
	}
	aside := 0
	for _, name := range names {
		for what, harm := range map[string]func(path string, size int64) error{
			"cut off": func(path string, size int64) error { return os.Truncate(path, size/2) },
			"zeroed":  func(path string, size int64) error { return os.WriteFile(path, make([]byte, size), 0o600) },
			"removed": func(path string, _ int64) error { return os.Remove(path) },
		} {
			putBack(t, good, store)
			info, err := name.Info()
			if err != nil {
				t.Fatal(err)
			}
			if err := harm(filepath.Join(store, name.Name()), info.Size()); err != nil {
				t.Fatal(err)
			}
			f.Agent.Start(t)
			p.run(t)
			stop()
			found, err := filepath.Glob(store + ".set-aside-*")
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s %s: %d set aside", name.Name(), what, len(found))
			aside += len(found)
			for _, dir := range found {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if aside == 0 {
		t.Error("no damage led to a store that was set aside")
	}
	f.Agent.Start(t)
	p.run(t)
	p.check(t, wanted(t, f))
	if served := p.checkServed(t); served != f.WantedCount() {
		t.Errorf("%d recordings were served %d times", f.WantedCount(), served)
	}
}

// TestTruncatedOffer: the server has lost its ledger, and the agent, put back to an older state too, offers less than what
// the server is known to have signed. The offer is refused; the log waits, and goes on once the newer state is there.
func TestTruncatedOffer(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{Server: "log_level: debug\n", Agent: "heartbeat: 1s\n"})
	p := newParty(f)
	night := func(seed uint64) {
		f.Record(t, seed, 60, 2, 10_000)
		f.Seal(t)
		p.run(t)
	}
	f.Agent.Start(t)
	night(1)
	stop := func() {
		f.Agent.Kill()
		f.Agent.Wait()
	}
	stop()
	older := filepath.Join(t.TempDir(), "older")
	copyTree(t, f.Agent.State, older)
	f.Agent.Start(t)
	night(2)
	stop()
	p.note(t)
	position, _ := f.Server.Ledger(t, fleet.TenantName, fleet.DestinationName)
	newer := filepath.Join(t.TempDir(), "newer")
	copyTree(t, f.Agent.State, newer)
	f.Server.Kill()
	f.Server.Wait()
	if err := os.RemoveAll(filepath.Join(f.Server.State, "ledgers")); err != nil {
		t.Fatal(err)
	}
	putBack(t, older, f.Agent.State)
	f.Server.Start(t)
	f.Agent.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	complete, message, err := f.Agent.RunNow(ctx)
	for deadline := time.Now().Add(patience); len(p.alarms(t)) == 0 && !strings.Contains(logOf(t, f.Server.Log), "BAD_OFFER") && time.Now().Before(deadline); {
		time.Sleep(200 * time.Millisecond)
	}
	if now, _ := f.Server.Ledger(t, fleet.TenantName, fleet.DestinationName); complete || now.Size != 0 {
		t.Errorf("an offer that ends too early was taken: log %+v of %+v, complete %v, %s, %v", now, position, complete, message, err)
	}
	stop()
	putBack(t, newer, f.Agent.State)
	f.Agent.Start(t)
	p.run(t)
	if now, _ := f.Server.Ledger(t, fleet.TenantName, fleet.DestinationName); now.Size < position.Size {
		t.Errorf("the log has come back with %d entries, and had %d", now.Size, position.Size)
	}
	night(3)
	p.check(t, wanted(t, f))
	p.checkServed(t)
}

func logOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
