package ledger

import (
	"iter"
	"slices"
	"sort"
	"strings"
)

// Range is the indexes from First to Last, both included.
type Range struct{ First, Last int64 }

// Set is an immutable set of indexes, held as ascending ranges that neither overlap nor touch. The zero value is
// the empty set.
type Set struct{ ranges []Range }

// NewSet returns the union of ranges, which may overlap and come in any order. A range whose Last is before
// its First is empty.
func NewSet(ranges ...Range) Set {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b Range) int {
		switch {
		case a.First < b.First:
			return -1
		case a.First > b.First:
			return 1
		}
		return 0
	})
	var b setBuilder
	for _, r := range sorted {
		b.add(r)
	}
	return Set(b)
}

// setBuilder takes ranges in ascending order of their First.
type setBuilder struct{ ranges []Range }

func (b *setBuilder) add(r Range) {
	if r.Last < r.First {
		return
	}
	if n := len(b.ranges); n > 0 && r.First <= b.ranges[n-1].Last+1 {
		b.ranges[n-1].Last = max(b.ranges[n-1].Last, r.Last)
		return
	}
	b.ranges = append(b.ranges, r)
}

// addAll takes ascending ranges of one set, of which only the first ones can touch what is there.
func (b *setBuilder) addAll(ranges []Range) {
	for len(ranges) > 0 && len(b.ranges) > 0 && ranges[0].First <= b.ranges[len(b.ranges)-1].Last+1 {
		b.add(ranges[0])
		ranges = ranges[1:]
	}
	b.ranges = append(b.ranges, ranges...)
}

// ParseSet reads indexes in their canonical form, such as "0-1999,2004". The error is a [*RefusedError]: LIMIT where
// only [MaxRanges] or [MaxItems] is exceeded, otherwise TEXT. The empty set has no text.
func ParseSet(s string) (Set, error) {
	set, refused := parseSet(s)
	if refused != nil {
		return Set{}, refused
	}
	return set, nil
}

// parseSet is [ParseSet], but returns what it read also where only a limit is exceeded.
func parseSet(s string) (Set, *RefusedError) {
	set := Set{make([]Range, 0, strings.Count(s, ",")+1)}
	last := int64(-2)
	for part := range strings.SplitSeq(s, ",") {
		from, until, isRange := strings.Cut(part, "-")
		first, ok := readDecimal(from)
		r := Range{first, first}
		if isRange {
			var ok2 bool
			r.Last, ok2 = readDecimal(until)
			ok = ok && ok2 && r.First < r.Last
		}
		if !ok || r.First <= last+1 {
			return Set{}, refuse(ReasonText, "%.40q is no range, or does not leave a gap after %d", part, last)
		}
		last = r.Last
		set.ranges = append(set.ranges, r)
	}
	if len(set.ranges) > MaxRanges {
		return set, refuse(ReasonLimit, "the indexes have %d ranges, more than %d", len(set.ranges), MaxRanges)
	}
	if last >= MaxItems {
		return set, refuse(ReasonLimit, "index %d is not below %d", last, MaxItems)
	}
	return set, nil
}

// String returns the canonical form that [ParseSet] reads, without any limit; of the empty set, "".
func (s Set) String() string { return string(s.appendText(nil)) }

func (s Set) appendText(b []byte) []byte {
	for i, r := range s.ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDecimal(b, r.First)
		if r.Last > r.First {
			b = appendDecimal(append(b, '-'), r.Last)
		}
	}
	return b
}

// Ranges returns a copy of the ranges, ascending, disjoint and not adjacent.
func (s Set) Ranges() []Range { return slices.Clone(s.ranges) }

// Len returns the number of indexes.
func (s Set) Len() int64 {
	var n int64
	for _, r := range s.ranges {
		n += r.Last - r.First + 1
	}
	return n
}

// IsEmpty reports whether the set has no index.
func (s Set) IsEmpty() bool { return len(s.ranges) == 0 }

// Contains reports whether index i is in the set.
func (s Set) Contains(i int64) bool {
	at := s.search(i)
	return at < len(s.ranges) && s.ranges[at].First <= i
}

// Max returns the greatest index, and -1 for the empty set.
func (s Set) Max() int64 {
	if s.IsEmpty() {
		return -1
	}
	return s.ranges[len(s.ranges)-1].Last
}

// Equal reports whether both sets have the same indexes.
func (s Set) Equal(t Set) bool { return slices.Equal(s.ranges, t.ranges) }

// search returns how many ranges lie wholly before index i.
func (s Set) search(i int64) int {
	return sort.Search(len(s.ranges), func(k int) bool { return s.ranges[k].Last >= i })
}

// Union returns the indexes that are in s or in t.
func (s Set) Union(t Set) Set {
	if s.IsEmpty() {
		return t
	}
	if t.IsEmpty() {
		return s
	}
	if t.ranges[0].First < s.ranges[0].First {
		s, t = t, s
	}
	b := setBuilder{make([]Range, 0, len(s.ranges)+len(t.ranges))}
	i, j := s.search(t.ranges[0].First-1), 0
	b.ranges = append(b.ranges, s.ranges[:i]...)
	for i < len(s.ranges) && j < len(t.ranges) {
		if s.ranges[i].First <= t.ranges[j].First {
			b.add(s.ranges[i])
			i++
		} else {
			b.add(t.ranges[j])
			j++
		}
	}
	b.addAll(s.ranges[i:])
	b.addAll(t.ranges[j:])
	return Set(b)
}

// Intersect returns the indexes that are in s and in t.
func (s Set) Intersect(t Set) Set {
	if s.IsEmpty() || t.IsEmpty() {
		return Set{}
	}
	var b setBuilder
	for i, j := s.search(t.ranges[0].First), t.search(s.ranges[0].First); i < len(s.ranges) && j < len(t.ranges); {
		x, y := s.ranges[i], t.ranges[j]
		b.add(Range{max(x.First, y.First), min(x.Last, y.Last)})
		if x.Last < y.Last {
			i++
		} else {
			j++
		}
	}
	return Set(b)
}

// Difference returns the indexes that are in s and not in t.
func (s Set) Difference(t Set) Set {
	if s.IsEmpty() || t.IsEmpty() {
		return s
	}
	b := setBuilder{make([]Range, 0, len(s.ranges)+len(t.ranges))}
	i, j := s.search(t.ranges[0].First), 0
	b.ranges = append(b.ranges, s.ranges[:i]...)
	for ; i < len(s.ranges) && j < len(t.ranges); i++ {
		r := s.ranges[i]
		for j < len(t.ranges) && t.ranges[j].Last < r.First {
			j++
		}
		for k := j; k < len(t.ranges) && t.ranges[k].First <= r.Last; k++ {
			b.add(Range{r.First, t.ranges[k].First - 1})
			r.First = t.ranges[k].Last + 1
		}
		b.add(r)
	}
	b.addAll(s.ranges[i:])
	return Set(b)
}

// All yields the indexes in ascending order.
func (s Set) All() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, r := range s.ranges {
			for i := r.First; i <= r.Last; i++ {
				if !yield(i) {
					return
				}
			}
		}
	}
}
