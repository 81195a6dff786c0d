//go:build linux && peers

package storage

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// site is a fleet whose destination is in wolkvox Storage, on a small volume of its own, with an agent that runs as a service
// and a first night that was confirmed. What is ever visible there is watched.
type site struct {
	*fleet.Fleet
	volume string
	watch  *fleet.Watch
}

const (
	firstCount  = 10
	secondCount = 40
	medianBytes = 15_000
	// slowBytes is how fast the agent is given what it reads back, per second, where something is to happen meanwhile.
	slowBytes = 60_000
)

// newSite mounts the volume with these options; place are further settings of the destination.
func newSite(t *testing.T, volume, place string, watched bool) *site {
	t.Helper()
	s := &site{volume: mount(t, volume)}
	s.Fleet = fleet.New(t, fleet.Options{
		Kind: "wolkvox", Where: "  wolkvox: {" + place + "}\n", Agent: "heartbeat: 1s\n",
		Server: "storage_dir: " + s.volume + "/storage\n",
	})
	s.Destination = filepath.Join(s.volume, "storage", fleet.TenantName, fleet.DestinationName, "files")
	if watched {
		s.watch = fleet.NewWatch(t, s.Destination, s.Wanted)
	}
	s.Agent.Start(t)
	s.night(t, 1, firstCount, medianBytes)
	s.complete(t)
	return s
}

// mount mounts a file system in memory until the test ends.
func mount(t *testing.T, options string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), "volume")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if r := fleet.Command(t.Context(), "mount", "-t", "tmpfs", "-o", options, "tmpfs", at); r.Status != 0 {
		t.Fatal(r)
	}
	t.Cleanup(func() {
		// The context of the test has ended.
		fleet.Command(context.WithoutCancel(t.Context()), "umount", "-l", at)
	})
	return at
}

func (s *site) remount(t *testing.T, options string) {
	t.Helper()
	if r := fleet.Command(t.Context(), "mount", "-o", "remount,"+options, s.volume); r.Status != 0 {
		t.Fatal(r)
	}
}

// night records and seals a night, and returns when the agent knows of it.
func (s *site) night(t *testing.T, seed uint64, count int, medianBytes int64) {
	t.Helper()
	s.Record(t, seed, count, 1, medianBytes)
	s.Seal(t)
	fleet.Await(t, "the agent knows of the night", func() bool { return int(s.Agent.Only(t).Counts.Sum()) == s.WantedCount() })
}

// complete has the agent copy until all is confirmed, and looks at the whole.
func (s *site) complete(t *testing.T) {
	t.Helper()
	s.CopyAll(t)
	s.CheckComplete(t)
	s.checkConfirmed(t)
}

// finish looks at what is confirmed so far, is complete, and ends the watch.
func (s *site) finish(t *testing.T) {
	t.Helper()
	s.checkConfirmed(t)
	s.complete(t)
	if s.watch == nil {
		return
	}
	if _, problems := s.watch.Stop(t); len(problems) > 0 {
		t.Errorf("watch: %q", problems)
	}
}

// checkConfirmed has sha256sum compare what the server's ledger has as confirmed with what is stored, and returns how many
// files that are.
func (s *site) checkConfirmed(t *testing.T) int {
	t.Helper()
	confirmed := s.Server.Items(t, fleet.TenantName, fleet.DestinationName, "confirmed")
	s.CheckStored(t, confirmed)
	return len(confirmed)
}

// expect makes sure of what the agent says of a fault, in its status and by its exit status.
func (s *site) expect(t *testing.T, class, party string, codes ...string) {
	t.Helper()
	f := s.Agent.Only(t).LastFault
	if f == nil {
		t.Fatalf("no fault is said: %v\n%s", s.Agent.Only(t), fleet.Tail(s.Agent.Log))
	}
	t.Logf("said: %+v", *f)
	if f.Class != class || f.Party != party || !slices.Contains(codes, f.Code) || f.Message == "" {
		t.Errorf("the fault is %+v, want %s of %s, one of %q", *f, class, party, codes)
	}
	if r := s.Agent.Try(t, "status"); r.Status != 1 || !strings.Contains(r.Stdout, f.Message) {
		t.Errorf("a person is not told of it: %v", r)
	}
	s.CheckLedgers(t)
	s.checkConfirmed(t)
}

// A night that is larger than what the volume has room for, of bytes or of inodes, is stored as far as it goes; it is wolkvox'
// matter, and goes on when there is room.
func TestFull(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		volume, larger string
		count          int
		median         int64
	}{
		"bytes":  {"size=48m,nr_inodes=5000", "size=128m", 300, 150_000},
		"inodes": {"size=96m,nr_inodes=300", "nr_inodes=5000", 400, 2_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.volume, "", true)
			s.night(t, 2, c.count, c.median)
			t.Log(s.Copy(t.Context()))
			s.expect(t, "capacity", "wolkvox", "STORAGE_FULL")
			if s.Agent.Only(t).Circuit == nil {
				t.Error("the full storage is not left alone")
			}
			if n := s.checkConfirmed(t); n >= firstCount+c.count {
				t.Errorf("all %d recordings are confirmed: the volume was never full", n)
			}
			s.remount(t, c.larger)
			s.finish(t)
		})
	}
}

// A volume that takes no writes: the server cannot do it, which is wolkvox' matter.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, "size=64m", "", true)
	s.remount(t, "ro")
	s.night(t, 2, secondCount, medianBytes)
	t.Log(s.Copy(t.Context()))
	s.expect(t, "transient", "wolkvox", "INTERNAL")
	s.remount(t, "rw")
	s.finish(t)
}

// The agent's certificate is revoked while it copies. A new machine takes its place with what lies there.
func TestRevoked(t *testing.T) {
	t.Parallel()
	s := newSite(t, "size=64m", "check: readback", true)
	s.begin(t)
	agent := s.Agent.Status(t).Agent
	s.Server.Do(t, "agents", "revoke", fleet.TenantName, agent, "--reason", "it was stolen")
	fleet.Await(t, "the storage is left alone", func() bool { return s.Agent.Only(t).Circuit != nil })
	if c := s.Agent.Only(t).Circuit.Fault; c.Class != "credential" || c.Party != "client" || c.Code != "REVOKED" || c.Message == "" {
		t.Errorf("the storage is left alone because of %+v", c)
	}
	if r := s.Agent.Try(t, "status"); r.Status != 1 || !strings.Contains(r.Stdout, "revoked") {
		t.Errorf("a person is not told of it: %v", r)
	}
	s.Agent.Kill()
	s.Agent.Wait()
	s.checkConfirmed(t)
	if err := os.RemoveAll(s.Agent.State); err != nil {
		t.Fatal(err)
	}
	s.Agent.Do(t, "enroll", s.Server.Join(t, fleet.TenantName, fleet.DestinationName, s.Line.Address(), "--for-agent", agent))
	s.Agent.Do(t, "destination", "init", fleet.DestinationName)
	s.Agent.Start(t)
	s.finish(t)
}

// begin seals a second night, whose recordings the agent reads back slowly, and returns when it has begun.
func (s *site) begin(t *testing.T) (ended <-chan fleet.Outcome) {
	t.Helper()
	s.night(t, 2, secondCount, medianBytes)
	s.Line.Slow(slowBytes)
	before := s.Line.Carried()
	ends := make(chan fleet.Outcome, 1)
	go func() { ends <- s.Copy(t.Context()) }()
	fleet.Await(t, "the night begins", func() bool { return s.Line.Carried()-before > slowBytes })
	return ends
}

// The server is killed while the agent reads back, and started again.
func TestKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, "size=64m", "check: readback", true)
	ended := s.begin(t)
	s.Server.Kill()
	s.Server.Wait()
	fleet.Await(t, "the agent says that the server is not there", func() bool { return s.Agent.Only(t).Circuit != nil && s.Agent.Status(t).ServerProblem != "" })
	if c := s.Agent.Only(t).Circuit.Fault; c.Class != "network" || c.Party != "network" || c.Message == "" {
		t.Errorf("the storage is left alone because of %+v", c)
	}
	s.CheckDestination(t, false)
	s.Server.Start(t)
	t.Log(<-ended)
	s.finish(t)
}

// A line that is slow is not at fault.
func TestSlow(t *testing.T) {
	t.Parallel()
	s := newSite(t, "size=64m", "check: readback", true)
	if o := <-s.begin(t); !o.Complete {
		t.Errorf("%v", o)
	}
	if only := s.Agent.Only(t); only.LastFault != nil || only.Circuit != nil {
		t.Errorf("a fault is said: %v", only)
	}
	s.finish(t)
}

// Some files are altered after the server stored them and before the agent reads them back. They are not confirmed, and stored
// again.
func TestAltered(t *testing.T) {
	t.Parallel()
	s := newSite(t, "size=64m", "check: readback", false)
	s.Line.Slow(slowBytes)
	s.Record(t, 2, secondCount, 1, medianBytes)
	s.Seal(t)
	// Nobody asks for the pass: one that is asked for would store them again at once.
	fleet.Await(t, "all is stored", func() bool { return len(fleet.Tree(t, s.Destination)) == firstCount+secondCount })
	items := s.Server.Items(t, fleet.TenantName, fleet.DestinationName, "pending")
	const hit = 4
	for _, item := range items[len(items)-hit:] { // they are read in this order, slowly
		name := filepath.Join(s.Destination, item.Path)
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fleet.Await(t, "the storage is left alone", func() bool { return s.Agent.Only(t).Circuit != nil })
	s.expect(t, "integrity", "wolkvox", "READ_BACK")
	if confirmed := s.checkConfirmed(t); confirmed > firstCount+secondCount-hit {
		t.Errorf("%d recordings are confirmed although %d were altered", confirmed, hit)
	}
	s.finish(t)
}

// Every connection breaks, 50 times and more in one night, at any instant.
func TestCut(t *testing.T) {
	t.Parallel()
	s := newSite(t, "size=64m", "check: readback", true)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s.night(t, 2, secondCount, medianBytes)
	s.Line.Slow(slowBytes)
	ended := make(chan fleet.Outcome, 1)
	running := func() { ended <- s.Copy(t.Context()) }
	go running()
	const leastCuts, leastFaults, longest = 50, 5, int64(300 * time.Millisecond)
	cuts, met := 0, 0
	for deadline := time.Now().Add(fleet.Patience); (cuts < leastCuts || met < leastFaults) && time.Now().Before(deadline); cuts++ {
		time.Sleep(time.Duration(random.Int64N(longest)))
		s.Line.Cut()
		select {
		case o := <-ended:
			if o.Complete {
				s.night(t, random.Uint64(), secondCount, medianBytes) // there is always something to copy
			} else if f := s.Agent.Only(t).LastFault; f != nil {
				if met++; f.Class != "network" || f.Party != "network" {
					t.Errorf("the fault is %+v, want the network's", *f)
				}
			}
			go running()
		default:
		}
	}
	s.Line.Slow(0)
	t.Log(<-ended)
	t.Logf("%d cuts, of which the agent noticed %d", cuts, met)
	if met < leastFaults {
		t.Errorf("of %d cuts the agent noticed %d, want at least %d", cuts, met, leastFaults)
	}
	s.finish(t)
}
