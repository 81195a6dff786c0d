//go:build linux && peers

package nas

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// site is a fleet whose destination is at a peer, with an agent that runs as a service, and a first night that was
// confirmed.
type site struct {
	*fleet.Fleet
	peer   peer
	volume string      // a small volume, on which the peer has its folder
	line   *fleet.Line // from the agent to the peer; nil where there is none
	watch  watcher
}

const (
	firstCount  = 10
	secondCount = 40
	medianBytes = 15_000
	// feedBytes is how fast the agent is given the second night, per second, where something is to happen meanwhile: it takes
	// some seconds then.
	feedBytes = 250_000
)

// How the peer is reached, and whether all that is ever visible there is watched: what is there must be right and stay.
const (
	direct, overLine = false, true
	isWatched        = true
)

// newSite has the first night confirmed.
func newSite(t *testing.T, d driver, lined, watched bool) *site {
	t.Helper()
	s := &site{volume: mount(t, t.TempDir(), "-t", "tmpfs", "-o", "size=64m,nr_inodes=3000", "tmpfs")}
	dir := filepath.Join(s.volume, "share")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.peer = d.start(t, dir)
	address := ""
	if lined && s.peer.address() != "" {
		s.line = fleet.NewLine(t, s.peer.address)
		address = s.line.Address()
	}
	s.Fleet = fleet.New(t, fleet.Options{Destination: dir, Where: s.peer.where(address), Agent: "heartbeat: 1s\n", Place: "  reserve: 0\n"})
	if far, ok := s.peer.(remote); watched && ok {
		s.watch = far.watch(s.Wanted)
	} else if watched {
		s.watch = fleet.NewWatch(t, dir, s.Wanted)
	}
	s.Agent.Start(t)
	s.night(t, 1, firstCount)
	s.complete(t)
	return s
}

// night records and seals a night, and returns when the agent knows of it.
func (s *site) night(t *testing.T, seed uint64, count int) {
	t.Helper()
	s.Record(t, seed, count, 1, medianBytes)
	s.Seal(t)
	fleet.Await(t, "the agent knows of the night", func() bool { return int(s.Agent.Only(t).Counts.Sum()) == s.WantedCount() })
}

// begin seals the second night and has the agent copy it, slowly, and returns when it has begun.
func (s *site) begin(t *testing.T) (ended <-chan fleet.Outcome) {
	t.Helper()
	s.Line.Slow(feedBytes)
	before := s.Line.Carried()
	s.night(t, 2, secondCount)
	ends := make(chan fleet.Outcome, 1)
	go func() { ends <- s.Copy(t.Context()) }()
	const begun = 150_000
	fleet.Await(t, "the night begins", func() bool { return s.Line.Carried()-before > begun })
	return ends
}

// complete has the agent copy until all is confirmed, and looks at the whole.
func (s *site) complete(t *testing.T) {
	t.Helper()
	s.CopyAll(t)
	s.look(t)
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

// look has what lies at the peer brought to a folder where it is none; false where the peer is dead.
func (s *site) look(t *testing.T) bool {
	t.Helper()
	far, ok := s.peer.(remote)
	if !ok {
		return true
	}
	s.Destination = t.TempDir()
	return far.fetch(t, s.Destination)
}

// checkConfirmed has sha256sum compare what the server's ledger has as confirmed with what lies at the peer, where that can be
// looked at, and returns how many files that are.
func (s *site) checkConfirmed(t *testing.T) int {
	t.Helper()
	confirmed := s.Server.Items(t, fleet.TenantName, fleet.DestinationName, "confirmed")
	if s.look(t) {
		s.CheckStored(t, confirmed)
	}
	return len(confirmed)
}

// opensAfter is after how many faults in a row of the most patient class a destination is left alone.
const opensAfter = 3

// expect has somebody insist until the destination is left alone, and makes sure that the agent says why, in its status and
// by its exit status.
func (s *site) expect(t *testing.T, want said) {
	t.Helper()
	s.Line.Slow(0)
	only := s.Agent.Only(t)
	for tries := 0; only.Circuit == nil && tries < opensAfter; tries++ {
		t.Logf("insisted: %v", s.Copy(t.Context()))
		only = s.Agent.Only(t)
	}
	f := only.LastFault
	if f == nil || only.Circuit == nil {
		t.Fatalf("the destination is not left alone, want %+v: %v\n%s", want, only, fleet.Tail(s.Agent.Log))
	}
	t.Logf("said: %+v", *f)
	if !want.is(*f) {
		t.Errorf("the fault is %+v, want %+v", *f, want)
	}
	if r := s.Agent.Try(t, "status"); r.Status != 1 || !strings.Contains(r.Stdout, f.Message) {
		t.Errorf("a person is not told of it: %v", r)
	}
	s.CheckLedgers(t)
	s.checkConfirmed(t)
}
