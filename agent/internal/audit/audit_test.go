package audit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestNames knows exactly what was added, in any order, also after more was added later.
func TestNames(t *testing.T) {
	t.Parallel()
	names := NewNames(100)
	known := rand.New(rand.NewPCG(1, 2)).Perm(2000)
	for _, i := range known[:1000] {
		names.Add(fmt.Sprint("a/", i))
	}
	for _, i := range known {
		if got, want := names.See(fmt.Sprint("a/", i), int64(i), i%3 > 0), slices.Contains(known[:1000], i); got != want {
			t.Fatalf("See(%d) = %v, want %v", i, got, want)
		}
	}
	names.Add("late")
	if _, listed := names.Size("late"); listed || !names.See("late", 0, true) {
		t.Error("a name that was added late is not known, or listed before it was")
	}
	for _, i := range known[:1000] {
		sizeBytes, listed := names.Size(fmt.Sprint("a/", i))
		if want := i%3 > 0; listed != want || want && sizeBytes != int64(i) {
			t.Errorf("Size(%d) = %d, %v", i, sizeBytes, listed)
		}
	}
}

// TestParts gives each name to one part, and no part too many.
func TestParts(t *testing.T) {
	t.Parallel()
	for names, want := range map[int64]int{0: 1, 1: 1, PartNames: 1, PartNames + 1: 2, 10 * PartNames: 10} {
		if got := Parts(names); got != want {
			t.Errorf("Parts(%d) = %d, want %d", names, got, want)
		}
	}
	counts := make([]int, 4)
	for i := range 4000 {
		counts[PartOf(fmt.Sprint(i), 4)]++
	}
	for part, count := range counts {
		if count < 800 || count > 1200 {
			t.Errorf("part %d has %d of 4000 names", part, count)
		}
	}
}

func TestSample(t *testing.T) {
	t.Parallel()
	for percent, most := range map[float64]int{0.1: 60, 5: 700, 50: 5300, 100: 10000} {
		options := Options{Level: Read, Percent: percent, Seed: "x"}
		sample, other := options.Sample(), Options{Percent: percent, Seed: "y"}.Sample()
		taken, same := 0, 0
		for i := range int64(10000) {
			if sample.Takes(1, i) {
				taken++
				if other.Takes(1, i) {
					same++
				}
			}
			if sample.Takes(1, i) != options.Sample().Takes(1, i) {
				t.Fatal("the same seed takes other items")
			}
		}
		if taken > most || float64(taken) < percent*90 && percent >= 5 {
			t.Errorf("%g %% are %d of 10000", percent, taken)
		}
		if percent == 5 && same > taken/2 {
			t.Errorf("another seed takes %d of the same %d", same, taken)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for o, good := range map[Options]bool{
		{List, 100, ""}: true, {Read, 0.5, "x"}: true, {"", 100, ""}: false, {Read, 0, ""}: false, {Read, 100.1, ""}: false, {Read, -1, ""}: false,
	} {
		if err := o.Check(); (err == nil) != good {
			t.Errorf("Check(%+v) = %v", o, err)
		}
	}
}

// TestJournal goes on from what was kept and forgets what was not, begins anew where something else is wanted, and remembers the end.
func TestJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := Options{Level: Read, Percent: 100}
	var seen []string
	begin := func(o Options, fresh bool, at time.Time) (*Journal, Position) {
		t.Helper()
		seen = nil
		j := NewJournal(dir, "nas")
		p, err := j.Begin(o, fresh, at, func(f Finding) error { seen = append(seen, f.Name); return nil })
		check(t, err)
		return j, p
	}
	j, p := begin(options, false, noon)
	check(t, j.Found(Finding{Class: Missing, Manifest: 1, Index: 3, Name: "a"}))
	p.Manifest, p.Index, p.FindingsBytes = 2, 7, j.Written()
	check(t, j.Keep(p))
	check(t, j.Found(Finding{Class: Extra, Name: "b"}))
	check(t, j.Close())

	j, again := begin(options, false, noon.Add(time.Hour))
	if diff := cmp.Diff(p, again); diff != "" || len(seen) != 1 || seen[0] != "a" {
		t.Errorf("gone on with %q (-want +got):\n%s", seen, diff)
	}
	check(t, j.Close())
	for name, begun := range map[string]func() (*Journal, Position){
		"other options": func() (*Journal, Position) { return begin(Options{Level: Read, Percent: 5}, false, noon) },
		"anew":          func() (*Journal, Position) { return begin(options, true, noon) },
		"too late":      func() (*Journal, Position) { return begin(options, false, noon.Add(maxAge+1)) },
	} {
		if j, p := begun(); p.Manifest != 1 || len(seen) != 0 {
			t.Errorf("%s: goes on at %+v with %q", name, p, seen)
		} else {
			check(t, j.Close())
		}
	}
	check(t, os.Truncate(j.FindingsPath(), 0))
	if _, ok, err := j.Last(); ok || err != nil {
		t.Errorf("before the end: %v, %v", ok, err)
	}
	j, p = begin(options, false, noon)
	if p.Manifest != 1 {
		t.Errorf("without the findings it goes on at %+v", p)
	}
	report := Report{Options: options, Began: noon, Ended: noon.Add(time.Minute), Counts: Counts{Looked: 3}, Outcome: Complete}
	check(t, j.End(report))
	check(t, j.Close())
	if last, ok, err := j.Last(); err != nil || !ok || last != report || !last.IsWell() {
		t.Errorf("Last = %+v, %v, %v", last, ok, err)
	}
	if _, ok, err := j.Position(); ok || err != nil {
		t.Errorf("after the end it would go on: %v, %v", ok, err)
	}
}

// TestPay takes exactly what it is asked for, in parts that the limiter can give.
func TestPay(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	limiter := rate.NewLimiter(1e-6, 100)
	check(t, Pay(ctx, limiter, 60))
	check(t, Pay(ctx, limiter, 40))
	if err := Pay(ctx, limiter, 1); err == nil {
		t.Error("more was given than there was")
	}
	check(t, Pay(ctx, nil, 1<<40))
	check(t, Pay(ctx, limiter, -5))
	fast := rate.NewLimiter(1e12, 10)
	check(t, Pay(ctx, fast, 12345))
}
