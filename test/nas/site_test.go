//go:build linux && peers

package nas

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// patience bounds what takes a moment on an idle machine.
const patience = 2 * time.Minute

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
	await(t, "the agent knows of the night", func() bool { return int(s.Agent.Only(t).Counts.Sum()) == s.WantedCount() })
}

// outcome is how a pass ended.
type outcome struct {
	complete bool
	message  string
	err      error
}

func (o outcome) String() string {
	return fmt.Sprintf("complete %v: %s (%v)", o.complete, o.message, o.err)
}

// run has the agent copy what is pending, as if a person had asked for it.
func (s *site) run(ctx context.Context) outcome {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var o outcome
	o.complete, o.message, o.err = s.Agent.RunNow(ctx)
	return o
}

// begin seals the second night and has the agent copy it, slowly, and returns when it has begun.
func (s *site) begin(t *testing.T) (ended <-chan outcome) {
	t.Helper()
	s.Line.Slow(feedBytes)
	before := s.Line.Carried()
	s.night(t, 2, secondCount)
	ends := make(chan outcome, 1)
	go func() { ends <- s.run(t.Context()) }()
	const begun = 150_000
	await(t, "the night begins", func() bool { return s.Line.Carried()-before > begun })
	return ends
}

// await returns when something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in %v it did not come to this: %s", patience, what)
		}
	}
}

// complete has the agent copy until all is confirmed, and looks at the whole.
func (s *site) complete(t *testing.T) {
	t.Helper()
	s.Line.Slow(0)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		o := s.run(t.Context())
		if o.complete {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not complete after %v: %v\n%v\n%s", patience, o, s.Agent.Only(t), fleet.Tail(s.Agent.Log))
		}
	}
	if only := s.Agent.Only(t); only.Circuit != nil {
		t.Errorf("all is copied, and the destination is still left alone because of %+v", only.Circuit.Fault)
	}
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
		checkSums(t, s.Fleet, confirmed)
	}
	return len(confirmed)
}

// checkSums has sha256sum compare what is confirmed with what lies at the destination.
func checkSums(t *testing.T, f *fleet.Fleet, confirmed []fleet.Item) {
	t.Helper()
	var list strings.Builder
	for _, item := range confirmed {
		sum, ok := f.Wanted(item.Path)
		if !ok {
			t.Errorf("%s is confirmed, and was never recorded", item.Path)
		}
		fmt.Fprintf(&list, "%s  %s\n", sum, item.Path)
	}
	name := filepath.Join(t.TempDir(), "sums")
	if err := os.WriteFile(name, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := fleet.Command(t.Context(), "env", "-C", f.Destination, "sha256sum", "--check", "--strict", "--quiet", name)
	if r.Status != 0 {
		t.Errorf("what is confirmed is not at the peer as it must be: %v", r)
	}
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
		t.Logf("insisted: %v", s.run(t.Context()))
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
