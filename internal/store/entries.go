package store

import (
	"fmt"
	"iter"

	"github.com/dgraph-io/badger/v4"
)

// readAheadBytes is about how much an iteration reads at once. No transaction is open while its consumer works.
const readAheadBytes = 256 << 10

// entry reads the exact bytes of an entry.
func (l *Ledger) entry(tx *badger.Txn, i int64) ([]byte, error) {
	leaf, err := read(tx, l.id.key(tableEntries, i))
	if err == nil && len(leaf) == 0 {
		err = damaged(l.origin, "entry %d is missing", i)
	}
	return leaf, err
}

// Entry returns the exact bytes of an entry, [ErrNotFound] where there is none with this index.
func (l *Ledger) Entry(i int64) ([]byte, error) {
	if size, _ := l.Position(); i < 0 || i >= size {
		return nil, fmt.Errorf("ledger %s: entry %d of %d: %w", l.origin, i, size, ErrNotFound)
	}
	var leaf []byte
	err := l.db.view(func(tx *badger.Txn) (err error) {
		leaf, err = l.entry(tx, i)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read entry %d: %w", i, err)
	}
	return leaf, nil
}

// Entries yields the exact bytes of the entries from index from up to and without to, or the end of the log as it is
// at the first of them. It ends after an error.
func (l *Ledger) Entries(from, to int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		size, _ := l.Position()
		for next, end := max(from, 0), min(to, size); next < end; {
			leaves, err := l.readEntries(next, end)
			for _, leaf := range leaves {
				if !yield(leaf, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, fmt.Errorf("read entry %d: %w", next+int64(len(leaves)), err))
				return
			}
			next += int64(len(leaves))
		}
	}
}

// readEntries reads at least one entry from index from on, and more while they are few bytes; those before an error too.
func (l *Ledger) readEntries(from, to int64) (leaves [][]byte, err error) {
	err = l.db.view(func(tx *badger.Txn) error {
		for i, total := from, 0; i < to && total < readAheadBytes; i++ {
			leaf, err := l.entry(tx, i)
			if err != nil {
				return err
			}
			leaves = append(leaves, leaf)
			total += len(leaf)
		}
		return nil
	})
	return leaves, err
}
