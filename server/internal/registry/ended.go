package registry

import (
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// ended says that a tenant, or a destination's log, was retired. From then on nobody is let in for it.
type ended struct {
	At time.Time `json:"at"`
}

// EndTenant takes down that a tenant was retired: no destination is created for it and no token redeemed any more.
// Where it was so before nothing changes. The error is [ErrNotFound].
func (r *Registry) EndTenant(tenant string, at time.Time) error {
	return r.update(func(txn *badger.Txn) error {
		if _, err := get[Tenant](txn, key(tenantTable, tenant), SubjectTenant, tenant); err != nil {
			return err
		}
		return end(txn, at, tenant)
	})
}

// EndDestination takes down that a destination with this log was retired: no token is created or redeemed for it any
// more. Where it was so before nothing changes. The error is [ErrNotFound].
func (r *Registry) EndDestination(origin ledger.Origin, at time.Time) error {
	return r.update(func(txn *badger.Txn) error {
		d, err := destinationOf(txn, origin)
		if err != nil {
			return err
		}
		return end(txn, at, d.Tenant, origin.LogID())
	})
}

func end(txn *badger.Txn, at time.Time, parts ...string) error {
	err := create(txn, key(endedTable, parts...), SubjectTenant, parts[0], ended{at.UTC()})
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// TenantEnded returns when a tenant was retired; false where it was not.
func (r *Registry) TenantEnded(tenant string) (at time.Time, is bool, err error) {
	err = r.db.View(func(txn *badger.Txn) error { return checkEnded(txn, tenant) })
	if ended, ok := errors.AsType[*EndedError](err); ok {
		return ended.At, true, nil
	}
	return time.Time{}, false, err
}

// checkEnded returns an [*EndedError] for a tenant that was retired.
func checkEnded(txn *badger.Txn, tenant string) error {
	e, err := get[ended](txn, key(endedTable, tenant), SubjectTenant, tenant)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return &EndedError{Tenant: tenant, At: e.At}
}

// checkServed returns an [*EndedError] for a destination that was retired, or whose tenant was.
func checkServed(txn *badger.Txn, d Destination) error {
	if err := checkEnded(txn, d.Tenant); err != nil {
		return err
	}
	e, err := get[ended](txn, key(endedTable, d.Tenant, d.Origin.LogID()), SubjectDestination, string(d.Origin))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return &EndedError{Tenant: d.Tenant, Destination: d.Name, At: e.At}
}
