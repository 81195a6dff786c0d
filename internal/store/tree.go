package store

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

// hashReader reads the hashes of the log's tree as package tlog numbers them. The hashes that entry i completes, on
// levels 0, 1 …, are one record.
type hashReader struct {
	tx    *badger.Txn
	id    ledgerID
	fresh map[int64][]tlog.Hash // of entries that are not in the store yet
}

// ReadHashes implements [tlog.HashReader].
func (r *hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		completedBy := (n+1)<<level - 1
		record, ok := r.fresh[completedBy]
		if !ok {
			var err error
			if record, err = readHashes(r.tx, r.id, completedBy); err != nil {
				return nil, err
			}
		}
		if level >= len(record) {
			return nil, fmt.Errorf("the hash of level %d at entry %d is missing: %w", level, completedBy, ErrDamaged)
		}
		hashes[i] = record[level]
	}
	return hashes, nil
}

// add computes the hashes that entry index completes.
func (r *hashReader) add(index int64, leaf []byte) error {
	hashes, err := tlog.StoredHashesForRecordHash(index, ledger.LineHash(leaf), r)
	if err != nil {
		return err
	}
	r.fresh[index] = hashes
	return nil
}

func (r *hashReader) root(size int64) (tlog.Hash, error) {
	if size == 0 {
		return ledger.EmptyRoot(), nil
	}
	return tlog.TreeHash(size, r)
}

func encodeHashes(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

func readHashes(tx *badger.Txn, id ledgerID, entry int64) ([]tlog.Hash, error) {
	value, err := read(tx, id.key(tableHashes, entry))
	if err != nil {
		return nil, err
	}
	if len(value) == 0 || len(value)%tlog.HashSize != 0 {
		return nil, fmt.Errorf("the hashes of entry %d are missing or cut: %w", entry, ErrDamaged)
	}
	hashes := make([]tlog.Hash, len(value)/tlog.HashSize)
	for i := range hashes {
		copy(hashes[i][:], value[i*tlog.HashSize:])
	}
	return hashes, nil
}

// RootAt returns the root of the tree over the first size entries, [ErrNotFound] where there are fewer.
func (l *Ledger) RootAt(size int64) (tlog.Hash, error) {
	s := l.state.Load()
	switch {
	case size < 0 || size > s.log.Size:
		return tlog.Hash{}, fmt.Errorf("ledger %s: root at size %d of %d: %w", l.origin, size, s.log.Size, ErrNotFound)
	case size == s.log.Size:
		return s.root, nil
	}
	var root tlog.Hash
	err := l.db.view(func(tx *badger.Txn) (err error) {
		root, err = (&hashReader{tx: tx, id: l.id}).root(size)
		return err
	})
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("ledger %s: root at size %d: %w", l.origin, size, err)
	}
	return root, nil
}

// ReadHashes makes the ledger a [tlog.HashReader] over the log's tree, for proofs.
func (l *Ledger) ReadHashes(indexes []int64) (hashes []tlog.Hash, err error) {
	err = l.db.view(func(tx *badger.Txn) error {
		hashes, err = (&hashReader{tx: tx, id: l.id}).ReadHashes(indexes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", l.origin, err)
	}
	return hashes, nil
}
