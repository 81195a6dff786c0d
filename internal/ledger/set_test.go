package ledger

import (
	"slices"
	"testing"
)

// model is a set as a map.
type model map[int64]bool

func (m model) check(t *testing.T, what string, s Set) {
	t.Helper()
	var want []int64
	for i := range m {
		if m[i] {
			want = append(want, i)
		}
	}
	slices.Sort(want)
	if got := slices.Collect(s.All()); !slices.Equal(got, want) || s.Len() != int64(len(want)) || s.IsEmpty() != (len(want) == 0) {
		t.Fatalf("%s = %s, want %v", what, s, want)
	}
	if greatest := s.Max(); len(want) > 0 && greatest != want[len(want)-1] || len(want) == 0 && greatest != -1 {
		t.Fatalf("%s: Max() = %d", what, greatest)
	}
	last := int64(-2)
	for _, r := range s.Ranges() {
		if r.First <= last+1 || r.Last < r.First {
			t.Fatalf("%s has the ranges %v", what, s.Ranges())
		}
		last = r.Last
	}
	if parsed, err := ParseSet(s.String()); len(want) == 0 != (err != nil) || err == nil && !parsed.Equal(s) {
		t.Fatalf("ParseSet(%q) = %s, %v", s, parsed, err)
	}
}

func combine(a, b model, keep func(a, b bool) bool) model {
	c := model{}
	for i := range int64(64) {
		c[i] = keep(a[i], b[i])
	}
	return c
}

func TestSetAlgebra(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	random := func() (Set, model) {
		m := model{}
		var ranges []Range
		for range r.IntN(8) {
			first := r.Int64N(60)
			last := first + r.Int64N(8) - 3
			ranges = append(ranges, Range{first, last})
			for i := first; i <= last; i++ {
				m[i] = true
			}
		}
		return NewSet(ranges...), m
	}
	for range 3000 {
		a, ma := random()
		b, mb := random()
		ma.check(t, "NewSet", a)
		combine(ma, mb, func(a, b bool) bool { return a || b }).check(t, "Union", a.Union(b))
		combine(ma, mb, func(a, b bool) bool { return a && b }).check(t, "Intersect", a.Intersect(b))
		combine(ma, mb, func(a, b bool) bool { return a && !b }).check(t, "Difference", a.Difference(b))
		ma.check(t, "a after use", a)
		mb.check(t, "b after use", b)
		for i := int64(-1); i < 70; i++ {
			if a.Contains(i) != ma[i] {
				t.Fatalf("%s.Contains(%d) = %t", a, i, a.Contains(i))
			}
		}
	}
}

func TestParseSetLimits(t *testing.T) {
	t.Parallel()
	var ranges []Range
	for i := range int64(MaxRanges) {
		ranges = append(ranges, Range{2 * i, 2 * i})
	}
	greatest := NewSet(ranges...)
	for _, c := range []struct {
		text string
		want Reason
	}{
		{"0", ""}, {"0-3999999", ""}, {"3999999", ""}, {"0-1999,2004", ""}, {greatest.String(), ""},
		{"4000000", ReasonLimit}, {"0-4000000", ReasonLimit}, {"9007199254740991", ReasonLimit}, {greatest.String() + ",9000", ReasonLimit},
		{"9007199254740992", ReasonText}, {"", ReasonText}, {greatest.String() + ",9000,", ReasonText}, {"0-1,2", ReasonText}, {"0,1", ReasonText},
	} {
		set, err := ParseSet(c.text)
		if got := reasonOf(t, err); got != c.want || err == nil && set.String() != c.text {
			t.Errorf("ParseSet(%.40q) = %.40s, %v, want %q", c.text, set, err, c.want)
		}
	}
}
