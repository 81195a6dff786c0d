package store

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// Snapshot is every record of a store as it was at one instant. It never changes.
type Snapshot struct {
	records []record
}

type record struct{ key, value []byte }

// Snapshot returns a copy of the store as it is now. It is held in memory, and meant for small stores and for tests of
// what happens when an older copy is put back.
func (db *DB) Snapshot() (*Snapshot, error) {
	s := &Snapshot{}
	err := db.view(func(tx *badger.Txn) error {
		return each(tx, nil, func(key, value []byte) error {
			s.records = append(s.records, record{append([]byte(nil), key...), value})
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("copy the store: %w", err)
	}
	return s, nil
}

// OpenSnapshot is [Open] of a store that does not exist yet, and then holds what s does.
func OpenSnapshot(dir string, o Options, s *Snapshot) (_ *DB, err error) {
	fault := o.Fault
	o.Fault = nil
	db, err := Open(dir, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("put a copy of the store into %s: %w", dir, err), db.Close())
		}
	}()
	batch := db.badger.NewWriteBatch()
	defer batch.Cancel()
	for _, r := range s.records {
		if err := batch.Set(r.key, r.value); err != nil {
			return nil, err
		}
	}
	if err := batch.Flush(); err != nil {
		return nil, err
	}
	db.fault = fault
	return db, db.view(func(tx *badger.Txn) error {
		return eachOrigin(tx, func(_ ledger.Origin, id ledgerID) { db.lastID = max(db.lastID, id) })
	})
}
