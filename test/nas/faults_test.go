//go:build linux && peers

package nas

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// TestFaults has everything go wrong at every kind of peer. Nothing is confirmed that is not there, nothing that is there is
// changed, the agent says what is the matter, and when it was put right the night ends.
func TestFaults(t *testing.T) {
	t.Parallel()
	forEach(t, drivers(), func(t *testing.T, d driver) {
		for _, c := range []struct {
			name string
			want said
			run  func(t *testing.T, d driver, want said)
		}{
			{"killed", d.cases.killed, testKilled},
			{"full", d.cases.full, testFull},
			{"no inodes", d.cases.noInodes, testNoInodes},
			{"locked", d.cases.locked, testLocked},
			{"read-only", d.cases.readOnly, testReadOnly},
			{"slow", d.cases.slow, testSlow},
			{"altered", d.cases.altered, testAltered},
			{"cut", d.cases.cut, testCut},
		} {
			if c.want == cannotHappen {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				if c.want == nothing && c.name != "slow" {
					t.Fatalf("it is not said what the agent has to say of this")
				}
				c.run(t, d, c.want)
			})
		}
	})
}

// testKilled: the peer dies in mid-night, and comes back.
func testKilled(t *testing.T, d driver, want said) {
	s := newSite(t, d, direct, isWatched)
	ended := s.begin(t)
	s.peer.kill()
	t.Log(<-ended)
	t.Log(s.Copy(t.Context())) // what was on its way says less than the next try
	s.expect(t, want)
	s.peer.restart(t)
	s.finish(t)
}

// testFull: somebody fills the peer's volume to the last byte in mid-night. It is enlarged.
func testFull(t *testing.T, d driver, want said) {
	s := newSite(t, d, direct, isWatched)
	ended := s.begin(t)
	far, isFar := s.peer.(remote)
	if isFar {
		far.fill(t, true)
	} else {
		fill(t, filepath.Join(s.volume, "filler"))
	}
	t.Log(<-ended)
	t.Log(s.Copy(t.Context())) // what was on its way says less than the next try
	s.expect(t, want)
	if isFar {
		far.fill(t, false)
	} else {
		remount(t, s.volume, "size=128m")
	}
	s.finish(t)
}

// testNoInodes: somebody uses up all inodes of the peer's volume in mid-night. It is given more.
func testNoInodes(t *testing.T, d driver, want said) {
	s := newSite(t, d, direct, isWatched)
	ended := s.begin(t)
	for i := 0; ; i++ {
		f, err := os.Create(filepath.Join(s.volume, fmt.Sprint("filler-", i)))
		if err != nil {
			break
		}
		f.Close()
	}
	t.Log(<-ended)
	t.Log(s.Copy(t.Context())) // what was on its way says less than the next try
	s.expect(t, want)
	remount(t, s.volume, "nr_inodes=8000")
	s.finish(t)
}

// testLocked: the peer's password, or key, is another one from mid-night on. The agent is given it.
func testLocked(t *testing.T, d driver, want said) {
	s := newSite(t, d, direct, isWatched)
	ended := s.begin(t)
	s.peer.lock(t)
	t.Log(<-ended)
	t.Log(s.Copy(t.Context())) // what was on its way says less than the next try
	s.expect(t, want)
	s.peer.unlock(t)
	s.finish(t)
}

// testReadOnly: the peer takes no writes.
func testReadOnly(t *testing.T, d driver, want said) {
	s := newSite(t, d, direct, isWatched)
	s.peer.readOnly(t, true)
	s.night(t, 2, secondCount)
	t.Log(s.Copy(t.Context()))
	s.expect(t, want)
	s.peer.readOnly(t, false)
	s.finish(t)
}

// testSlow: a peer that is slow is not at fault.
func testSlow(t *testing.T, d driver, _ said) {
	s := newSite(t, d, overLine, isWatched)
	s.peer.slow(s.line, true)
	s.night(t, 2, secondCount)
	if o := s.Copy(t.Context()); !o.Complete {
		t.Errorf("%v", o)
	}
	if only := s.Agent.Only(t); only.LastFault != nil || only.Circuit != nil {
		t.Errorf("a fault is said: %v", only)
	}
	s.peer.slow(s.line, false)
	s.finish(t)
}

// testCut: every connection to the peer breaks, 50 times and more in one night, at any instant.
func testCut(t *testing.T, d driver, want said) {
	s := newSite(t, d, overLine, isWatched)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s.peer.slow(s.line, true)
	s.night(t, 2, secondCount)
	ended := make(chan fleet.Outcome, 1)
	running := func() { ended <- s.Copy(t.Context()) }
	go running()
	const leastCuts, leastFaults, longest = 50, 5, int64(150 * time.Millisecond)
	cuts, met := 0, map[string]int{}
	for deadline := time.Now().Add(fleet.Patience); (cuts < leastCuts || total(met) < leastFaults) && time.Now().Before(deadline); cuts++ {
		time.Sleep(time.Duration(random.Int64N(longest)))
		s.peer.cut(t, s.line)
		select {
		case o := <-ended:
			if o.Complete {
				s.night(t, random.Uint64(), secondCount/2) // there is always something to copy
			} else if f := s.Agent.Only(t).LastFault; f != nil {
				met[fmt.Sprintf("%s %s %s", f.Class, f.Party, f.Code)]++
				if !want.is(*f) {
					t.Errorf("the fault is %+v, want %+v", *f, want)
				}
			}
			go running()
		default:
		}
	}
	s.peer.slow(s.line, false)
	t.Log(<-ended)
	t.Logf("%d cuts met these faults: %v", cuts, met)
	if total(met) < leastFaults {
		t.Errorf("of %d cuts the agent noticed %d, want at least %d", cuts, total(met), leastFaults)
	}
	s.finish(t)
}

func total(met map[string]int) (sum int) {
	for _, times := range met {
		sum += times
	}
	return sum
}

// testAltered: at the peer some files are altered after they were written and before they are compared. They are not
// confirmed, and brought again.
func testAltered(t *testing.T, d driver, want said) {
	s := newSite(t, d, overLine, !d.lastly)
	const hit = 4 // early in the night: long before they are compared
	stop := s.alter(t, hit, d.lastly)
	s.Line.Slow(feedBytes)
	if s.line != nil {
		s.line.SlowBack(slowBytes)
	}
	s.night(t, 2, secondCount)
	// Nobody asks for the pass: one that is asked for would bring them at once.
	fleet.Await(t, "the destination is left alone", func() bool { return s.Agent.Only(t).Circuit != nil })
	s.expect(t, want)
	if altered := stop(); altered != hit {
		t.Errorf("%d files were altered, want %d", altered, hit)
	}
	if confirmed := s.checkConfirmed(t); confirmed > firstCount+secondCount-hit {
		t.Errorf("%d recordings are confirmed although %d were altered", confirmed, hit)
	}
	if s.line != nil {
		s.line.SlowBack(0)
	}
	s.finish(t)
}

// fill takes all room of a volume.
func fill(t *testing.T, name string) {
	t.Helper()
	r := fleet.Command(t.Context(), "dd", "if=/dev/zero", "of="+name, "bs=4096")
	if r.Status == 0 || !strings.Contains(r.Stderr, "No space left") {
		t.Fatal(r)
	}
}
