package registry

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// logKey is one of the server's private keys of a destination's log. The first one is made with the destination. The later
// ones are numbered from 1, each kept before the log names it: which of them is current stands in the log alone.
type logKey struct {
	Name string `json:"name"` // as in signed notes: the origin
	Seed []byte `json:"seed"` // RFC 8032 §5.1.5
}

// LogKeys returns the server's keys of a log in the order in which they were made: those that were current once, the
// current one, and, where one was prepared that the log does not name yet, the next one. The error is [ErrNotFound].
func (r *Registry) LogKeys(origin ledger.Origin) (keys []*ledger.SigningKey, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		keys, err = logKeys(txn, origin)
		return err
	})
	return keys, err
}

// AddLogKey makes a further key of a log, which is durable when it returns. The log does not name it yet. The error is
// [ErrNotFound].
func (r *Registry) AddLogKey(origin ledger.Origin) (added *ledger.SigningKey, err error) {
	err = r.update(func(txn *badger.Txn) error {
		before, err := logKeys(txn, origin)
		if err != nil {
			return err
		}
		var kept logKey
		if kept, added, err = newLogKey(origin); err != nil {
			return err
		}
		return put(txn, laterKey(origin, fmt.Sprintf("%06d", len(before))), kept)
	})
	return added, err
}

func logKeys(txn *badger.Txn, origin ledger.Origin) ([]*ledger.SigningKey, error) {
	first, err := firstKey(txn, origin)
	if err != nil {
		return nil, err
	}
	later, err := list[logKey](txn, logKeyTable, origin.Tenant(), origin.Destination(), origin.LogID())
	if err != nil {
		return nil, err
	}
	var keys []*ledger.SigningKey
	for _, kept := range append([]logKey{first}, later...) {
		signing, err := signingKey(kept)
		if err != nil {
			return nil, err
		}
		keys = append(keys, signing)
	}
	return keys, nil
}

func laterKey(origin ledger.Origin, number string) []byte {
	return key(logKeyTable, origin.Tenant(), origin.Destination(), origin.LogID(), number)
}

func newLogKey(origin ledger.Origin) (logKey, *ledger.SigningKey, error) {
	kept := logKey{Name: string(origin), Seed: make([]byte, ed25519.SeedSize)}
	rand.Read(kept.Seed) // never fails, see crypto/rand
	signing, err := signingKey(kept)
	return kept, signing, err
}

func signingKey(k logKey) (*ledger.SigningKey, error) {
	if len(k.Seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("log key %s: its seed has %d bytes instead of %d", k.Name, len(k.Seed), ed25519.SeedSize)
	}
	return ledger.NewSigningKey(k.Name, ed25519.NewKeyFromSeed(k.Seed))
}
