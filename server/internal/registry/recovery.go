package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// Recovery is what has to be known of a log even where the log itself was lost or went back in time
// (proto/README.md, section 4.6).
type Recovery struct {
	Origin ledger.Origin `json:"origin"`
	// Begun says that the log's genesis was once written: a log that is empty all the same was lost, and no second
	// genesis is written.
	Begun bool `json:"begun"`
	// LastHead is the greatest head, signed by the server alone, of which is known that an agent holds its entries;
	// nil where there is none.
	LastHead []byte `json:"last_head,omitempty"`
	// HeldSize is the greatest size at which an agent was seen to hold the log as it is here.
	HeldSize int64 `json:"held_size"`
	// Recovering says that the log may lack entries that the server once signed: nothing is sealed, closed or said in it.
	Recovering bool `json:"recovering"`
	// Wanted are signed heads that the log has to contain before it stops recovering.
	Wanted [][]byte `json:"wanted,omitempty"`
	// CatalogStale says that entries were replaced or added from outside, and that the catalog of the log was not made
	// again since.
	CatalogStale bool `json:"catalog_stale,omitempty"`
	// Acts are the exact bytes of entries in which people's acts stood that were cut off, and that are still to be
	// said again.
	Acts [][]byte `json:"acts,omitempty"`
}

// Recovery returns the recovery record of a log: one with nothing but its origin where none was written yet.
func (r *Registry) Recovery(origin ledger.Origin) (rec Recovery, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		rec, err = recovery(txn, origin)
		return err
	})
	return rec, err
}

// Recoveries returns all recovery records, by origin.
func (r *Registry) Recoveries() (all []Recovery, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		all, err = list[Recovery](txn, recoveryTable)
		return err
	})
	return all, err
}

// UpdateRecovery changes the recovery record of a log in one transaction, and returns it as it is then. change may be
// called more than once; where it changes nothing, nothing is written. It cannot change the origin.
func (r *Registry) UpdateRecovery(origin ledger.Origin, change func(*Recovery)) (rec Recovery, err error) {
	if _, err := ledger.ParseOrigin(string(origin)); err != nil {
		return Recovery{}, fmt.Errorf("update the recovery record of %.200q: %w", origin, err)
	}
	err = r.update(func(txn *badger.Txn) error {
		before, err := recovery(txn, origin)
		if err != nil {
			return err
		}
		rec = before
		rec.Wanted, rec.Acts = slices.Clone(before.Wanted), slices.Clone(before.Acts)
		change(&rec)
		rec.Origin = origin
		was, err := json.Marshal(before)
		if err != nil {
			return err
		}
		if is, err := json.Marshal(rec); err != nil || bytes.Equal(was, is) {
			return err
		}
		return put(txn, key(recoveryTable, string(origin)), rec)
	})
	return rec, err
}

func recovery(txn *badger.Txn, origin ledger.Origin) (Recovery, error) {
	rec, err := get[Recovery](txn, key(recoveryTable, string(origin)), SubjectRecovery, string(origin))
	if errors.Is(err, ErrNotFound) {
		return Recovery{Origin: origin}, nil
	}
	return rec, err
}
