package source

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLooks(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	const quiet = 5 * time.Minute
	type sight struct {
		after     time.Duration // since noon
		sizeBytes int64
		mod       time.Duration // since noon
		absent    bool
		finished  bool
	}
	tests := []struct {
		about  string
		sights []sight
	}{
		{"old and twice equal", []sight{{0, 1, -time.Hour, false, false}, {1, 1, -time.Hour, false, true}, {2, 1, -time.Hour, false, true}}},
		{"not quiet for long enough", []sight{{0, 1, -quiet + 2, false, false}, {1, 1, -quiet + 2, false, false}, {2, 1, -quiet + 2, false, true}}},
		{"grows", []sight{{0, 1, -time.Hour, false, false}, {1, 2, -time.Hour, false, false}, {2, 2, -time.Hour, false, true}}},
		{"modified", []sight{{0, 1, -time.Hour, false, false}, {1, 1, -time.Minute, false, false}, {quiet, 1, -time.Minute, false, true}}},
		{"seen twice at one instant", []sight{{0, 1, -time.Hour, false, false}, {0, 1, -time.Hour, false, false}}},
		{"away in between", []sight{{0, 1, -time.Hour, false, false}, {1, 0, 0, true, false}, {2, 1, -time.Hour, false, false}}},
		{"modified in the future", []sight{{0, 1, time.Hour, false, false}, {quiet - 1, 1, time.Hour, false, false}, {quiet, 1, time.Hour, false, true}}},
		{"ever new futures", []sight{{0, 1, time.Hour, false, false}, {quiet, 1, 2 * time.Hour, false, false}, {2 * quiet, 1, 2 * time.Hour, false, true}}},
	}
	for _, test := range tests {
		looks := NewLooks(quiet)
		for i, s := range test.sights {
			var candidates []Candidate
			if !s.absent {
				candidates = []Candidate{{"call.gsm", Identity{SizeBytes: s.sizeBytes, ModTime: noon.Add(s.mod), Inode: uint64(i)}}}
			}
			finished, writing := looks.Settle(candidates, noon.Add(s.after))
			if (len(finished) == 1) != s.finished || len(finished)+len(writing) != len(candidates) {
				t.Errorf("%s: look %d: finished %v, writing %v", test.about, i+1, finished, writing)
			}
		}
	}
}

func TestLooksDivides(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	old := Candidate{"old", Identity{ModTime: time.Unix(1, 0)}}
	recent := Candidate{"recent", Identity{ModTime: time.Unix(999, 0)}}
	looks := NewLooks(time.Minute)
	looks.Settle([]Candidate{old, recent}, at)
	finished, writing := looks.Settle([]Candidate{old, recent}, at.Add(time.Second))
	if diff := cmp.Diff([][]Candidate{{old}, {recent}}, [][]Candidate{finished, writing}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
