package store

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

// Cut shortens the log to its first size entries, as if the others had never been appended: their hashes, the manifests
// that they seal, whatever is staged, and what they did to items go with them, and so do a head and an agreed head beyond
// size. Receipts that wait, and sessions, stay. Where there are fewer entries the error is [ErrNotFound]; while somebody
// stages a manifest it is [ErrStaging].
//
// The intention is durable first: if the process ends before the cut is done, it is completed when the ledger is opened.
// After any error but these two nobody knows how far it went, and the store has to be opened again, see [ErrFailed].
// Whoever reads meanwhile what is cut off may meet [ErrDamaged].
func (l *Ledger) Cut(ctx context.Context, size int64) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	before := l.state.Load()
	switch {
	case size < 0 || size > before.log.Size:
		return fmt.Errorf("ledger %s: cut at %d of %d entries: %w", l.origin, size, before.log.Size, ErrNotFound)
	case size == before.log.Size:
		return nil
	case len(l.staging) > 0:
		return fmt.Errorf("ledger %s: cut at %d entries: %w", l.origin, size, ErrStaging)
	}
	c, err := l.prepareCut(ctx, size)
	if err != nil {
		return fmt.Errorf("ledger %s: cut at %d entries: %w", l.origin, size, err)
	}
	err = l.update("begin a cut", func(tx *badger.Txn) error {
		return tx.Set(l.id.key(tableCut), strconv.AppendInt(nil, size, 10))
	})
	if err != nil {
		return err
	}
	l.publish(func(s *snapshot) {
		s.log, s.root, s.counts, s.total = c.log, c.root, c.counts, ledger.Counts{}
		for _, counts := range c.counts {
			s.total = s.total.Add(counts)
		}
		s.head, s.agreed = headUpTo(s.head, size), headUpTo(s.agreed, size)
	})
	l.announce()
	if err := c.finish(); err != nil {
		return l.db.fail(fmt.Errorf("ledger %s: cut at %d entries: %w", l.origin, size, err))
	}
	return nil
}

// completeCut ends a cut that was begun before the store was opened.
func (l *Ledger) completeCut() error {
	var value []byte
	err := l.db.view(func(tx *badger.Txn) (err error) {
		value, err = read(tx, l.id.key(tableCut))
		return err
	})
	if err != nil || value == nil {
		return err
	}
	size, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || size < 0 {
		return damaged(l.origin, "the record of a cut is unreadable")
	}
	c, err := l.prepareCut(context.Background(), size)
	if err == nil {
		err = c.finish()
	}
	if err != nil {
		return fmt.Errorf("complete the cut of the ledger %s at %d entries: %w", l.origin, size, err)
	}
	return nil
}

// cut is what a ledger is to be after its first entries.
type cut struct {
	l      *Ledger
	log    *ledger.Log
	root   tlog.Hash
	states []*itemStates // of manifest n at n-1
	counts []ledger.Counts
}

func (l *Ledger) prepareCut(ctx context.Context, size int64) (*cut, error) {
	log, states, err := l.foldFirst(ctx, size)
	if err != nil {
		return nil, err
	}
	c := &cut{l: l, log: log, states: states}
	for _, st := range states {
		c.counts = append(c.counts, st.counts())
	}
	err = l.db.view(func(tx *badger.Txn) error {
		c.root, err = (&hashReader{tx: tx, id: l.id}).root(size)
		return err
	})
	return c, err
}

// foldFirst folds the first size entries, which it checks: the structural state after them, and the states of the items of
// manifest n at n-1.
func (l *Ledger) foldFirst(ctx context.Context, size int64) (*ledger.Log, []*itemStates, error) {
	log := &ledger.Log{}
	var states []*itemStates
	for log.Size < size {
		leaves, err := l.readEntries(log.Size, size)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, nil, err
		}
		for _, leaf := range leaves {
			e, err := log.Check(leaf)
			if err != nil {
				return nil, nil, damaged(l.origin, "entry %d: %v", log.Size, err)
			}
			if sealed, ok := e.Body.(ledger.Sealed); ok {
				states = append(states, pendingStates(sealed.Items))
			} else if n, _, ok := ledger.ManifestOf(e.Body); ok {
				states[n-1] = states[n-1].fold(e, log.Manifests[n-1].Open)
			}
			log.Apply(leaf, e)
		}
	}
	return log, states, nil
}

// finish removes what is cut off, corrects what stays, and at last removes the record that the cut was begun. Each step may
// be repeated.
func (c *cut) finish() error {
	l, last := c.l, int64(len(c.states))
	for _, from := range [][]byte{
		l.id.key(tableEntries, c.log.Size), l.id.key(tableHashes, c.log.Size),
		l.id.key(tableManifest, last+1), l.id.key(tableStaged, last+1), l.id.key(tableChunks, last+1),
		l.id.key(tableItems, last+1), l.id.key(tableFaults, last+1),
		l.id.key(tableDurations, last+1),
	} {
		if err := l.deleteFrom(from); err != nil {
			return err
		}
	}
	l.db.cache.forget(l.id, last)
	for i := range c.states {
		if err := c.correct(int64(i) + 1); err != nil {
			return err
		}
	}
	return l.db.write("end a cut", func(tx *badger.Txn) error {
		for _, table := range []table{tableHead, tableAgreed} {
			note, err := read(tx, l.id.key(table))
			if err == nil && note != nil && headUpTo(note, c.log.Size) == nil {
				err = tx.Delete(l.id.key(table))
			}
			if err != nil {
				return err
			}
		}
		err := tx.Delete(l.id.key(tableCut))
		if err == nil && c.log.Size == 0 {
			err = tx.Delete(l.id.key(tableLog))
		} else if err == nil {
			err = set(tx, l.id.key(tableLog), newLogRecord(c.log, c.root))
		}
		return err
	})
}

// correct writes the states of the items of manifest n, and its record, where they are not what they are to be.
func (c *cut) correct(n int64) error {
	l, want := c.l, c.states[n-1]
	record := manifestRecord{sealedRecord(c.log.Manifests[n-1]), c.counts[n-1]}
	same := false
	err := l.db.view(func(tx *badger.Txn) error {
		var have manifestRecord
		_, err := get(tx, l.id.key(tableManifest, n), &have)
		if err != nil || !equalJSON(have, record) {
			return err
		}
		st, err := readStates(tx, l.id, n, record.Manifest.Items)
		same = err == nil && st.equal(want)
		return nil
	})
	if err != nil {
		return err
	}
	if !same {
		err = l.db.write("correct states", func(tx *badger.Txn) error {
			if err := want.write(tx, l.id, n, nil); err != nil {
				return err
			}
			return set(tx, l.id.key(tableManifest, n), record)
		})
	}
	if err == nil {
		l.db.cache.put(stateKey{l.id, n}, want)
	}
	return err
}

func (st *itemStates) equal(other *itemStates) bool {
	for s := range st {
		if !st[s].Equals(other[s]) {
			return false
		}
	}
	return true
}

// deleteFrom removes the records of one table from the key from on.
func (l *Ledger) deleteFrom(from []byte) error {
	table := from[:len(l.id.key(0))]
	for {
		var keys [][]byte
		err := l.db.view(func(tx *badger.Txn) error {
			opts := badger.DefaultIteratorOptions
			opts.PrefetchValues, opts.Prefix = false, table
			it := tx.NewIterator(opts)
			defer it.Close()
			for it.Seek(from); it.Valid() && len(keys) < dropChunks; it.Next() {
				keys = append(keys, it.Item().KeyCopy(nil))
			}
			return nil
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		err = l.db.write("cut off", func(tx *badger.Txn) error {
			for _, key := range keys {
				if err := tx.Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(keys) < dropChunks {
			return err
		}
	}
}

// headUpTo returns a head that names at most size entries, nil for any other.
func headUpTo(note []byte, size int64) []byte {
	if h, _, err := ledger.ParseHead(note); err == nil && h.Size <= size {
		return bytes.Clone(note)
	}
	return nil
}
