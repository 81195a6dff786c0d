package registry

import (
	"fmt"
	"log/slog"

	"github.com/dgraph-io/badger/v4"
	badgeroptions "github.com/dgraph-io/badger/v4/options"
)

// Copy is every record of a registry as it was at one instant. It never changes.
type Copy struct{ keys, values [][]byte }

// Copy returns a copy of the registry as it is now, held in memory.
func (r *Registry) Copy() (*Copy, error) {
	s := &Copy{}
	err := r.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			s.keys, s.values = append(s.keys, it.Item().KeyCopy(nil)), append(s.values, value)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("copy the registry: %w", err)
	}
	return s, nil
}

// OpenInMemory opens a registry that nothing is left of when it is closed, and that holds what s does; nothing where s is
// nil. It is for tests, also in a synctest bubble: nothing in it ticks but what it cannot be without.
func OpenInMemory(s *Copy) (*Registry, error) {
	o := options("", slog.New(slog.DiscardHandler)).WithInMemory(true).WithSyncWrites(false).WithNumCompactors(0).
		WithMemTableSize(4 << 20).WithCompression(badgeroptions.None).WithBlockCacheSize(0).WithIndexCacheSize(0)
	db, err := badger.Open(o)
	if err != nil {
		return nil, fmt.Errorf("open a registry in memory: %w", err)
	}
	r := &Registry{db: db}
	if s == nil {
		return r, nil
	}
	err = db.Update(func(txn *badger.Txn) error {
		for i, key := range s.keys {
			if err := txn.Set(key, s.values[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("fill a registry in memory: %w", err)
	}
	return r, nil
}
