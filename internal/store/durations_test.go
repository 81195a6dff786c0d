package store

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	l := memoryLedger(t)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	random := rand.New(rand.NewPCG(3, 4))
	const items = 3*durationGroup + 100
	want := map[int64]time.Duration{}
	for range 50 {
		put := map[int64]time.Duration{}
		for range 300 {
			index := random.Int64N(items)
			put[index] = time.Duration(random.Int64N(2000000)) * time.Millisecond
			want[index] = put[index]
		}
		must(t, l.PutDurations(2, put))
	}
	must(t, l.PutDurations(2, map[int64]time.Duration{0: 0}))
	want[0] = 0
	bad := int64(1)
	for want[bad] != 0 {
		bad++
	}
	must(t, l.PutDurations(2, map[int64]time.Duration{bad: -time.Second, bad + durationGroup*4: maxDuration + 1}))
	for from := int64(0); from < items; {
		durations, err := l.Durations(2, from)
		must(t, err)
		for i, got := range durations {
			d, ok := want[from+int64(i)]
			if !ok {
				d = UnknownDuration
			}
			if got != d {
				t.Fatalf("item %d takes %v, want %v", from+int64(i), got, d)
			}
		}
		from += max(1, random.Int64N(int64(len(durations))+1))
	}
	for _, n := range []int64{1, 3} {
		if durations, err := l.Durations(n, 0); err != nil || durations[0] != UnknownDuration {
			t.Errorf("of manifest %d is known that item 0 takes %v, %v", n, durations[0], err)
		}
	}
}

// What is cut off takes its durations with it: another manifest may have the number next.
func TestDurationsAreCutOff(t *testing.T) {
	t.Parallel()
	l := memoryLedger(t)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	size, _ := l.Position()
	stage(t, l, 1, a.makeLines(1, 10))
	must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))
	must(t, l.PutDurations(1, map[int64]time.Duration{5: time.Minute}))
	must(t, l.Cut(t.Context(), size))
	if durations, err := l.Durations(1, 5); err != nil || durations[0] != UnknownDuration {
		t.Errorf("item 5 takes %v, %v", durations[0], err)
	}
}
