package store

import (
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// ItemSets are the items of one manifest by state, at one moment. The zero value is a manifest without items.
type ItemSets struct{ states *itemStates }

// Items returns the indexes of the items in state s.
func (i ItemSets) Items(s backup.State) ledger.Set {
	if i.states == nil {
		return ledger.Set{}
	}
	return setOf(i.states[s])
}

// Among returns those of indexes whose items are in one of the states.
func (i ItemSets) Among(indexes ledger.Set, states ...backup.State) ledger.Set {
	if i.states == nil {
		return ledger.Set{}
	}
	in := roaring.New()
	for _, s := range states {
		in.Or(i.states[s])
	}
	in.And(bitmapOf(indexes))
	return setOf(in)
}

// State returns the state of the item with this index; false where there is no such item.
func (i ItemSets) State(index int64) (backup.State, bool) {
	if i.states == nil || index < 0 || index >= ledger.MaxItems {
		return 0, false
	}
	for _, s := range backup.States {
		if i.states[s].Contains(uint32(index)) {
			return s, true
		}
	}
	return 0, false
}

// Counts returns how many items are in each state.
func (i ItemSets) Counts() ledger.Counts {
	if i.states == nil {
		return ledger.Counts{}
	}
	return i.states.counts()
}

// states returns the item states of a sealed manifest of s.
func (l *Ledger) states(s *snapshot, n int64) (*itemStates, error) {
	m, ok := s.log.Manifest(n)
	if !ok {
		return nil, l.noManifest(n)
	}
	st, err := l.db.cache.states(stateKey{l.id, n}, func() (st *itemStates, err error) {
		err = l.db.view(func(tx *badger.Txn) error {
			st, err = readStates(tx, l.id, n, m.Items)
			return err
		})
		return st, err
	})
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", l.origin, err)
	}
	return st, nil
}

func (l *Ledger) noManifest(n int64) error {
	return fmt.Errorf("ledger %s: manifest %d is not sealed: %w", l.origin, n, ErrNotFound)
}

// States returns the items of manifest n by state, [ErrNotFound] where it is not sealed.
func (l *Ledger) States(n int64) (ItemSets, error) {
	st, err := l.states(l.state.Load(), n)
	return ItemSets{st}, err
}

// Items returns the indexes of the items of manifest n that are in state s, [ErrNotFound] where it is not sealed.
func (l *Ledger) Items(n int64, s backup.State) (ledger.Set, error) {
	sets, err := l.States(n)
	return sets.Items(s), err
}

// StateOf returns the state of item i of manifest n, [ErrNotFound] where there is none.
func (l *Ledger) StateOf(n, i int64) (backup.State, error) {
	sets, err := l.States(n)
	if err != nil {
		return 0, err
	}
	s, ok := sets.State(i)
	if !ok {
		return 0, fmt.Errorf("ledger %s: item %d of manifest %d: %w", l.origin, i, n, ErrNotFound)
	}
	return s, nil
}

// Counts returns how many items of manifest n are in each state, [ErrNotFound] where it is not sealed. It reads
// nothing from the disk.
func (l *Ledger) Counts(n int64) (ledger.Counts, error) {
	s := l.state.Load()
	if n < 1 || n > int64(len(s.counts)) {
		return ledger.Counts{}, l.noManifest(n)
	}
	return s.counts[n-1], nil
}

// Total returns how many items of all manifests are in each state. It reads nothing from the disk.
func (l *Ledger) Total() (ledger.Counts, error) { return l.state.Load().total, nil }
