package registry

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// ErrNotEmpty says that a registry to be restored into has records already.
var ErrNotEmpty = errors.New("the registry is not empty")

// inSnapshot reports whether a record belongs to a snapshot: all do but the catalog's, which is made again from the ledgers,
// and announcements, which are far more than all others and come again from the platform.
func inSnapshot(key []byte) bool {
	return len(key) > 0 && !bytes.Contains([]byte{catalogTable, nameTable, newCatalogTable, newNameTable, announcedTable}, key[:1])
}

// Snapshot calls each with all records but the catalog's and announcements, as they are at one instant, while others may write, and returns
// the log keys among them as a [Backup] has them. Key and value are valid during the call only.
func (r *Registry) Snapshot(each func(key, value []byte) error) (keys []string, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		options := badger.DefaultIteratorOptions
		options.PrefetchValues = false
		it := txn.NewIterator(options)
		defer it.Close()
		for it.Rewind(); it.Valid(); {
			key := it.Item().Key()
			if !inSnapshot(key) {
				it.Seek([]byte{key[0] + 1}) // past the table
				continue
			}
			if err := it.Item().Value(func(value []byte) error { return each(key, value) }); err != nil {
				return fmt.Errorf("copy the registry: %w", err)
			}
			if key[0] == logKeyTable { // keys of former logs sign nothing any more
				mark, err := markOf(it.Item())
				if err != nil {
					return fmt.Errorf("copy the registry: %w", err)
				}
				keys = append(keys, mark)
			}
			it.Next()
		}
		return nil
	})
	return keys, err
}

func markOf(item *badger.Item) (string, error) {
	kept, err := decode[logKey](item)
	if err != nil {
		return "", err
	}
	signing, err := signingKey(kept)
	if err != nil {
		return "", err
	}
	return keyMark(signing.Verifier()), nil
}

// Restoration fills a new registry from a snapshot of another.
type Restoration struct {
	registry *Registry
	batch    *badger.WriteBatch
}

// Restore begins to fill a registry that has no records but what [Open] writes. The error is [ErrNotEmpty] otherwise.
// [Restoration.Close] has to be called.
func (r *Registry) Restore() (*Restoration, error) {
	_, err := r.Snapshot(func(key, _ []byte) error {
		if key[0] == tenantTable {
			return ErrNotEmpty
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Restoration{r, r.db.NewWriteBatch()}, nil
}

// Put keeps a record of a snapshot.
func (r *Restoration) Put(key, value []byte) error {
	if !inSnapshot(key) {
		return fmt.Errorf("restore the registry: %q is no key of a snapshot", key)
	}
	if err := r.batch.Set(key, value); err != nil {
		return fmt.Errorf("restore the registry: %w", err)
	}
	return nil
}

// Commit makes durable what was put. Where it fails, some records may be there.
func (r *Restoration) Commit() error {
	if err := r.batch.Flush(); err != nil {
		return fmt.Errorf("restore the registry: %w", err)
	}
	return nil
}

// Close gives up what was not committed.
func (r *Restoration) Close() { r.batch.Cancel() }
