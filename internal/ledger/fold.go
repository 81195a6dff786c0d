package ledger

import (
	"slices"

	"github.com/wolkvox/backup"
	"golang.org/x/mod/sumdb/tlog"
)

// Fold is a log together with the state of every item: the whole fold of proto/README.md, part 3, and the log's tree. It
// is plain data: whoever keeps its fields can go on from there. The zero value is the empty log.
type Fold struct {
	Log
	Items []ItemStates // of manifest n at n-1
	Tree  Frontier     // over the entries
}

// Alarm is something that a log says and the fold contradicts. It refuses nothing; people have to look at it.
type Alarm struct {
	Code     string // [AlarmCounts]
	Entry    int64  // index of the entry that says it
	Manifest int64
	Said     Counts // what the entry says
	Folded   Counts // what the fold says
}

// AlarmCounts is the code of the alarm that the counts in a closed differ from those of the fold.
const AlarmCounts = "COUNTS"

// NewFold returns the fold of the empty log.
func NewFold() *Fold { return &Fold{} }

// Append checks the next entry and applies it. The error is a [*RefusedError]; then nothing has changed.
func (f *Fold) Append(leaf []byte) (Entry, []Alarm, error) {
	e, err := f.Check(leaf)
	if err != nil {
		return Entry{}, nil, err
	}
	return e, f.Apply(leaf, e), nil
}

// Apply adds an entry: leaf and what [Log.Check] returned for it in this state.
func (f *Fold) Apply(leaf []byte, e Entry) []Alarm {
	at := f.Size
	f.Log.Apply(leaf, e)
	f.Tree.Add(tlog.RecordHash(leaf))
	number, _, ok := ManifestOf(e.Body)
	if !ok {
		return nil
	}
	all := NewSet(Range{0, f.Manifests[number-1].Items - 1})
	if e.Body.Kind() == KindSealed {
		f.Items = append(f.Items, ItemStates{backup.Pending: all})
		return nil
	}
	indexes, ok := IndexesOf(e.Body)
	if !ok {
		indexes = all
	}
	states := &f.Items[number-1]
	states.apply(e.Body.Kind(), f.Manifests[number-1].Open, indexes)
	if closed, ok := e.Body.(Closed); ok && closed.Counts != states.Counts() {
		return []Alarm{{AlarmCounts, at, number, closed.Counts, states.Counts()}}
	}
	return nil
}

// States returns the states of the items of a manifest, all empty where it is not sealed.
func (f *Fold) States(manifest int64) ItemStates {
	if manifest < 1 || manifest > int64(len(f.Items)) {
		return ItemStates{}
	}
	return f.Items[manifest-1]
}

// Counts returns how many items of a manifest are in each state.
func (f *Fold) Counts(manifest int64) Counts {
	states := f.States(manifest)
	return states.Counts()
}

// Total returns how many items of all manifests are in each state.
func (f *Fold) Total() Counts {
	var total Counts
	for i := range f.Items {
		total = total.Add(f.Items[i].Counts())
	}
	return total
}

// Clone returns a copy that can grow on its own.
func (f *Fold) Clone() *Fold {
	return &Fold{Log: *f.Log.Clone(), Items: slices.Clone(f.Items), Tree: f.Tree.Clone()}
}
