package registry

import (
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// formerLog is a log that was restarted: its destination as it was then, and the log's first key. Later keys stay where
// they are.
type formerLog struct {
	Destination Destination `json:"destination"`
	Key         logKey      `json:"key"`
}

// RestartDestination gives a destination a new log, with a new identifier and key, that continues the one it has, whose last
// known head is last: zero where none is known. Nobody serves the destination then, alarms of the old log do not
// stand any more, and the old log is kept under its origin. The error is [ErrNotFound] where the destination's log is not
// the one of that origin.
func (r *Registry) RestartDestination(origin ledger.Origin, last ledger.KnownHead, at time.Time) (d Destination, err error) {
	err = r.update(func(txn *badger.Txn) error {
		old, err := destinationOf(txn, origin)
		if err != nil {
			return err
		}
		first, err := get[logKey](txn, key(logKeyTable, old.Tenant, old.Name), SubjectDestination, old.Tenant+"/"+old.Name)
		if err != nil {
			return err
		}
		d = Destination{Tenant: old.Tenant, Name: old.Name, Kind: old.Kind, CreatedAt: at.UTC(), RunNumber: old.RunNumber, Previous: last}
		kept, err := newLog(&d)
		if err != nil {
			return fmt.Errorf("restart the log %s: %w", origin, err)
		}
		if err := put(txn, key(formerTable, string(origin)), formerLog{old, first}); err != nil {
			return err
		}
		if err := put(txn, key(destinationTable, d.Tenant, d.Name), d); err != nil {
			return err
		}
		if err := put(txn, key(logKeyTable, d.Tenant, d.Name), kept); err != nil {
			return err
		}
		for _, kind := range []AlarmKind{AlarmCloned, AlarmFork, AlarmTailLost, AlarmCounts} {
			if err := txn.Delete(alarmKey(origin, kind)); err != nil {
				return err
			}
		}
		return nil
	})
	return d, err
}

// FormerDestinations returns the destinations of logs that were restarted, as they were then, by origin.
func (r *Registry) FormerDestinations() (all []Destination, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		logs, err := list[formerLog](txn, formerTable)
		for _, one := range logs {
			all = append(all, one.Destination)
		}
		return err
	})
	return all, err
}

func former(txn *badger.Txn, origin ledger.Origin) (formerLog, error) {
	return get[formerLog](txn, key(formerTable, string(origin)), SubjectDestination, string(origin))
}
