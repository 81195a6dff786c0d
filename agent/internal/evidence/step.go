package evidence

import (
	"fmt"
	"slices"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// step is what the entries from one agreed head to a later one add up to.
type step struct {
	since, size int64
	sealed      []ledger.Manifest  // in the step
	nights      []*nightStates     // those that get a SHA256SUMS, by date
	ledger      []listed           // the pieces with the step's entries
	pieces      map[int64][]listed // of manifests
}

// nightStates are the recordings of one night at the end of a step.
type nightStates struct {
	night     backup.Date
	manifests []*manifestStates // by number
	entries   []int64           // of the step, that are about them
	before    standing          // at its beginning
}

// manifestStates are the recordings of one manifest.
type manifestStates struct {
	ledger.Manifest
	open   bool
	states ledger.ItemStates
}

// standing is what a SHA256SUMS of a night depends on.
type standing struct {
	settled   bool         // nothing is pending
	confirmed []ledger.Set // of each manifest
}

func (n *nightStates) standing() standing {
	now := standing{settled: true}
	for _, m := range n.manifests {
		now.settled = now.settled && m.states[backup.Pending].IsEmpty()
		now.confirmed = append(now.confirmed, m.states[backup.Confirmed])
	}
	return now
}

func (s standing) equal(other standing) bool {
	return s.settled == other.settled && slices.EqualFunc(s.confirmed, other.confirmed, ledger.Set.Equal)
}

// step looks at the entries from since on and below size.
func (w *Writer) step(since, size int64) (*step, error) {
	s := &step{since: since, size: size, pieces: make(map[int64][]listed)}
	var all []ledger.Manifest
	w.log.View(func(log *ledger.Log) { all = append(all, log.Manifests...) })
	all = slices.DeleteFunc(all, func(m ledger.Manifest) bool { return m.SealedAt >= size })
	for _, m := range all {
		if m.SealedAt >= since {
			s.sealed = append(s.sealed, m)
		}
	}
	nights, from, err := w.touched(s, all)
	if err != nil {
		return nil, err
	}
	if err := w.fold(s, nights, all, from); err != nil {
		return nil, err
	}
	for _, night := range nights {
		if now := night.standing(); w.kit || now.settled && !now.equal(night.before) {
			s.nights = append(s.nights, night)
		}
	}
	slices.SortFunc(s.nights, func(a, b *nightStates) int { return a.night.Compare(b.night) })
	return s, nil
}

// touched returns the nights that entries of the step are about, and the first entry about any of them.
func (w *Writer) touched(s *step, all []ledger.Manifest) (nights map[backup.Date]*nightStates, from int64, err error) {
	nights = make(map[backup.Date]*nightStates)
	err = w.entries(s.since, s.size, func(index int64, e ledger.Entry, manifest int64) {
		night := all[manifest-1].Night
		if !w.wanted(night) {
			return
		}
		if nights[night] == nil {
			nights[night] = &nightStates{night: night}
		}
		nights[night].entries = append(nights[night].entries, index)
	})
	from = s.size
	for _, m := range all {
		if nights[m.Night] != nil {
			from = min(from, m.SealedAt)
		}
	}
	return nights, from, err
}

// fold applies the entries from the given one on to the states of nights (proto/README.md, section 3.2).
func (w *Writer) fold(s *step, nights map[backup.Date]*nightStates, all []ledger.Manifest, from int64) error {
	byNumber := make(map[int64]*manifestStates)
	begin := func() {
		for _, night := range nights {
			night.before = night.standing()
		}
	}
	apply := func(index int64, e ledger.Entry, manifest int64) {
		night := nights[all[manifest-1].Night]
		if night == nil {
			return
		}
		m := byNumber[manifest]
		if m == nil { // its sealed is the first entry about it
			m = &manifestStates{Manifest: all[manifest-1]}
			byNumber[manifest] = m
			night.manifests = append(night.manifests, m)
		}
		m.apply(e.Body)
	}
	if err := w.entries(from, s.since, apply); err != nil {
		return err
	}
	begin()
	return w.entries(max(from, s.since), s.size, apply)
}

func (m *manifestStates) apply(body ledger.Body) {
	whole := ledger.Set{}
	if m.Items > 0 {
		whole = ledger.NewSet(ledger.Range{First: 0, Last: m.Items - 1})
	}
	if body.Kind() == ledger.KindSealed {
		m.open, m.states[backup.Pending] = true, whole
		return
	}
	indexes, ok := ledger.IndexesOf(body)
	if !ok {
		indexes = whole
	}
	before := m.states
	for _, state := range backup.States {
		next := ledger.Next(body.Kind(), m.open, state)
		if next == state {
			continue
		}
		moved := before[state].Intersect(indexes)
		m.states[state] = m.states[state].Difference(moved)
		m.states[next] = m.states[next].Union(moved)
	}
	switch body.Kind() {
	case ledger.KindClosed:
		m.open = false
	case ledger.KindExtended:
		m.open = true
	}
}

// entries calls f with each entry from one on, up to and without another, that is about a manifest.
func (w *Writer) entries(from, to int64, f func(index int64, e ledger.Entry, manifest int64)) error {
	index := from
	for leaf, err := range w.log.Entries(from, max(from, to)) {
		if err != nil {
			return err
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		if manifest, _, ok := ledger.ManifestOf(e.Body); ok {
			f(index, e, manifest)
		}
		index++
	}
	return nil
}
