//go:build linux && peers

package move

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// TestMove copies a place with `cp -a` but for one recording, and moves there: all others stay confirmed, and that one alone is
// served again.
func TestMove(t *testing.T) {
	t.Parallel()
	s := newSite(t, 300)
	if a, r := s.move(t); r.Status != 0 || a.Wanted != 0 {
		t.Errorf("to the same place: %v", r)
	}
	before := s.served(t)
	to := s.dir()
	missing, untouched := s.copyTo(t, to)
	s.configure(t, to)
	a, _ := s.move(t)
	if !a.Result.Complete || a.Location != to || a.Wanted != 300 || a.Audited != 300 || a.Lost != 1 {
		t.Errorf("the move: %+v, want one of 300 lost at %s", a, to)
	}
	s.Agent.Do(t, "run", "--once")
	if again := s.served(t)[len(before):]; !slices.Equal(again, []string{missing}) {
		t.Errorf("served again were %q, want %q alone", again, missing)
	}
	if a, r := s.move(t); r.Status != 0 || a.Wanted != 0 {
		t.Errorf("the move again: %v", r)
	}
	untouched()
	s.CheckComplete(t)
	s.checkExports(t)
}

// TestMoveWithoutMarker moves to recordings that were copied without what the agent keeps beside them; and to an empty directory,
// which signs nothing and leaves nothing there until somebody accepts it.
func TestMoveWithoutMarker(t *testing.T) {
	t.Parallel()
	s := newSite(t, 120)
	before := s.served(t)
	to := s.dir()
	do(t, "cp", "-a", s.Destination, to)
	do(t, "rm", "-r", filepath.Join(to, ".wolkvox"))
	s.configure(t, to)
	if a, r := s.move(t); r.Status != 0 || a.Audited != 120 || a.Lost != 0 {
		t.Errorf("without a marker: %v", r)
	}
	if again := s.served(t)[len(before):]; len(again) > 0 {
		t.Errorf("served again were %q", again)
	}
	s.CheckComplete(t)

	empty := s.dir()
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	s.configure(t, empty)
	if a, r := s.move(t); r.Status == 0 || a.Lost != 120 {
		t.Errorf("to an empty directory: %v", r)
	}
	if _, err := os.Stat(filepath.Join(empty, ".wolkvox", "marker")); !os.IsNotExist(err) {
		t.Errorf("the empty directory is marked: %v", err)
	}
	if r := s.RunOnce(t); r.Status == 0 {
		t.Errorf("a run without the place: %v", r)
	}
	if a, r := s.move(t, "--accept-losses"); r.Status != 0 || a.Lost != 120 {
		t.Errorf("to an empty directory, accepted: %v", r)
	}
	s.Agent.Do(t, "run", "--once")
	s.CheckComplete(t)
	s.checkExports(t)
}

// kills is how often the agent is killed during a move.
const kills = 8

// TestMoveKilled kills the service while it moves, at random instants, and then moves again or just runs.
func TestMoveKilled(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newSite(t, 300)
	amid := 0
	for k := range kills {
		before := s.served(t)
		to := s.dir()
		missing, untouched := s.copyTo(t, to)
		s.configure(t, to)
		s.Agent.Start(t)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Agent.Try(t, "destination", "move", fleet.DestinationName)
		}()
		for patience := time.Now().Add(time.Duration(random.IntN(2500)) * time.Millisecond); time.Now().Before(patience); time.Sleep(time.Millisecond) {
			if distrusted(to) && random.IntN(20) == 0 {
				break
			}
		}
		s.Agent.Kill()
		s.Agent.Wait()
		<-ended
		if distrusted(to) {
			amid++
		}
		if k%2 == 0 {
			s.move(t)
		}
		s.Agent.Do(t, "run", "--once")
		if again := s.served(t)[len(before):]; !slices.Equal(again, []string{missing}) {
			t.Errorf("kill %d: served again were %q, want %q alone", k, again, missing)
		}
		untouched()
		s.CheckComplete(t)
	}
	s.checkExports(t)
	t.Logf("%d of %d kills were in the midst of an audit", amid, kills)
}

// distrusted reports whether a move has begun at a place and not ended.
func distrusted(place string) bool {
	_, err := os.Stat(filepath.Join(place, ".wolkvox", "last-delivered"))
	return os.IsNotExist(err)
}

// TestMoveElsewhere refuses a place that belongs to another log and one that is not there.
func TestMoveElsewhere(t *testing.T) {
	t.Parallel()
	s, other := newSite(t, 20), newSite(t, 20)
	for name, place := range map[string]string{"another log's": other.Destination, "none": s.dir()} {
		s.configure(t, place)
		if r := s.Agent.Try(t, "destination", "move", fleet.DestinationName, "--accept-losses"); r.Status != 1 || r.Stdout != "" {
			t.Errorf("%s: %v", name, r)
		} else {
			t.Logf("%s: %s", name, r.Stderr)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	other.Agent.Start(t)
	if complete, message, err := other.Agent.RunNow(ctx); !complete || err != nil {
		t.Errorf("the other log's agent: %s, %v", message, err)
	}
	other.CheckComplete(t)
}
