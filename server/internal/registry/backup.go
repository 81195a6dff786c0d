package registry

import (
	"errors"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// Backup is a backup that was handed out whole.
type Backup struct {
	At   time.Time `json:"at"`   // when what it has was read
	Keys []string  `json:"keys"` // the log keys that it has, as keyMark returns them, ascending
}

// Holds reports whether the backup has the private key of this verifier.
func (b Backup) Holds(key ledger.Verifier) bool {
	_, held := slices.BinarySearch(b.Keys, keyMark(key))
	return held
}

// keyMark returns the first 16 digits of a key's fingerprint: a fleet has ten thousand keys.
func keyMark(key ledger.Verifier) string { return key.Fingerprint()[:16] }

// RecordBackup keeps that a backup was made, in place of the one before.
func (r *Registry) RecordBackup(b Backup) error {
	slices.Sort(b.Keys)
	return r.update(func(txn *badger.Txn) error { return put(txn, key(backupTable), b) })
}

// LastBackup returns the last backup; false where none was ever made.
func (r *Registry) LastBackup() (b Backup, made bool, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		b, err = get[Backup](txn, key(backupTable), "backup", "last")
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return Backup{}, false, nil
	}
	return b, err == nil, err
}
