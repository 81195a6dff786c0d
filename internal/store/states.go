package store

import (
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// itemStates are the items of one manifest by state, indexed by [backup.State]; the bitmap at 0 is empty. They never
// change once made.
type itemStates [8]*roaring.Bitmap

func emptyStates() *itemStates {
	var st itemStates
	for s := range st {
		st[s] = roaring.New()
	}
	return &st
}

func pendingStates(items int64) *itemStates {
	st := emptyStates()
	st[backup.Pending].AddRange(0, uint64(items))
	return st
}

// apply returns the states after an entry of kind k about indexes; nil stands for the whole manifest.
func (st *itemStates) apply(k ledger.Kind, open bool, indexes *roaring.Bitmap) *itemStates {
	after := *st
	for _, s := range backup.States {
		next := ledger.Next(k, open, s)
		if next == s {
			continue
		}
		moved := st[s]
		if indexes != nil {
			moved = roaring.And(st[s], indexes)
		}
		if moved.IsEmpty() {
			continue
		}
		after[s] = roaring.AndNot(after[s], moved)
		after[next] = roaring.Or(after[next], moved)
	}
	return &after
}

func (st *itemStates) counts() ledger.Counts {
	var c ledger.Counts
	for s, bitmap := range st {
		c[s] = int64(bitmap.GetCardinality())
	}
	return c
}

func (st *itemStates) sizeBytes() int64 {
	var n uint64
	for _, bitmap := range st {
		n += bitmap.GetSizeInBytes() + 128
	}
	return int64(n)
}

// write writes the bitmaps that differ from before, which is nil where nothing was written yet.
func (st *itemStates) write(tx *badger.Txn, id ledgerID, manifest int64, before *itemStates) error {
	for _, s := range backup.States {
		if before != nil && before[s] == st[s] {
			continue
		}
		key := id.itemsKey(manifest, s)
		if st[s].IsEmpty() {
			if err := tx.Delete(key); err != nil {
				return err
			}
			continue
		}
		st[s].RunOptimize()
		value, err := st[s].ToBytes()
		if err != nil {
			return fmt.Errorf("encode the %s items of manifest %d: %w", s, manifest, err)
		}
		if err := tx.Set(key, value); err != nil {
			return err
		}
	}
	return nil
}

// readStates reads the states of the items of a manifest with so many items, and checks that every item has one.
func readStates(tx *badger.Txn, id ledgerID, manifest, items int64) (*itemStates, error) {
	st := emptyStates()
	union := roaring.New()
	for _, s := range backup.States {
		value, err := read(tx, id.itemsKey(manifest, s))
		if err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		if err := decodeBitmap(st[s], value); err != nil {
			return nil, fmt.Errorf("the %s items of manifest %d: %w: %w", s, manifest, err, ErrDamaged)
		}
		union.Or(st[s])
	}
	if counts := st.counts(); counts.Sum() != items || int64(union.GetCardinality()) != items || !union.IsEmpty() && int64(union.Maximum()) >= items {
		return nil, fmt.Errorf("the states of manifest %d are of %d items instead of %d: %w", manifest, counts.Sum(), items, ErrDamaged)
	}
	return st, nil
}

func decodeBitmap(bitmap *roaring.Bitmap, value []byte) error {
	if err := bitmap.UnmarshalBinary(value); err != nil {
		return err
	}
	return bitmap.Validate()
}

// bitmapOf returns the bitmap of a set of indexes of a manifest.
func bitmapOf(set ledger.Set) *roaring.Bitmap {
	bitmap := roaring.New()
	for _, r := range set.Ranges() {
		bitmap.AddRange(uint64(r.First), uint64(r.Last)+1)
	}
	return bitmap
}

func setOf(bitmap *roaring.Bitmap) ledger.Set {
	var ranges []ledger.Range
	for first, end := range bitmap.Ranges() {
		ranges = append(ranges, ledger.Range{First: int64(first), Last: int64(end) - 1})
	}
	return ledger.NewSet(ranges...)
}
