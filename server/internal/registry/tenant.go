package registry

import (
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

const day = 24 * time.Hour

// Tenant is a client of wolkvox with its nightly schedule, by the clock of its own zone.
type Tenant struct {
	Name           string        `json:"name"`             // a label
	TimeZone       string        `json:"time_zone"`        // IANA name
	WindowStart    time.Duration `json:"window_start"`     // when copying begins, after local midnight
	WindowEnd      time.Duration `json:"window_end"`       // when it ends; at or before the start means on the following day
	CutOff         time.Duration `json:"cut_off"`          // when the night is cut off and sealed, after local midnight
	Quiet          time.Duration `json:"quiet"`            // how long a file has to be unchanged before it is sealed
	BytesPerSecond int64         `json:"bytes_per_second"` // the most that is fetched; 0 for no limit
	// StorageQuotaBytes is how much it may keep in wolkvox Storage; 0 for no limit.
	StorageQuotaBytes int64 `json:"storage_quota_bytes,omitempty"`
}

// Check reports why t cannot be kept. Errors wrap [ErrBadName], [ErrBadTimeZone] or [ErrBadWindow].
func (t Tenant) Check() error {
	if err := ledger.CheckLabel(t.Name); err != nil {
		return fmt.Errorf("tenant: %w: %w", ErrBadName, err)
	}
	if _, err := t.Location(); err != nil {
		return err
	}
	for what, after := range map[string]time.Duration{"start": t.WindowStart, "end": t.WindowEnd, "cut-off": t.CutOff} {
		if after < 0 || after >= day {
			return fmt.Errorf("tenant %s: %w: its %s, %v after midnight, is not within a day", t.Name, ErrBadWindow, what, after)
		}
	}
	if t.Quiet < 0 || t.Quiet > day {
		return fmt.Errorf("tenant %s: %w: the quiet time %v is not between 0 and 24 hours", t.Name, ErrBadWindow, t.Quiet)
	}
	if t.BytesPerSecond < 0 {
		return fmt.Errorf("tenant %s: %w: %d bytes per second", t.Name, ErrBadWindow, t.BytesPerSecond)
	}
	if t.StorageQuotaBytes < 0 {
		return fmt.Errorf("tenant %s: %w: %d bytes", t.Name, ErrBadQuota, t.StorageQuotaBytes)
	}
	return nil
}

// Location returns the tenant's zone. The error wraps [ErrBadTimeZone] where it is not in the database of zones.
func (t Tenant) Location() (*time.Location, error) {
	if t.TimeZone == "" || t.TimeZone == "Local" {
		return nil, fmt.Errorf("tenant %s: %w: %q; name one such as \"America/Bogota\"", t.Name, ErrBadTimeZone, t.TimeZone)
	}
	zone, err := time.LoadLocation(t.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w: %w", t.Name, ErrBadTimeZone, err)
	}
	return zone, nil
}

// CreateTenant keeps a new tenant. Errors are those of [Tenant.Check], and [ErrExists].
func (r *Registry) CreateTenant(t Tenant) error {
	if err := t.Check(); err != nil {
		return err
	}
	return r.update(func(txn *badger.Txn) error {
		return create(txn, key(tenantTable, t.Name), SubjectTenant, t.Name, t)
	})
}

// Tenant returns a tenant, or [ErrNotFound].
func (r *Registry) Tenant(name string) (t Tenant, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		t, err = get[Tenant](txn, key(tenantTable, name), SubjectTenant, name)
		return err
	})
	return t, err
}

// SetStorageQuota changes how much a tenant may keep in wolkvox Storage; 0 for no limit. Errors are [ErrBadQuota] and
// [ErrNotFound].
func (r *Registry) SetStorageQuota(name string, quotaBytes int64) (t Tenant, err error) {
	err = r.update(func(txn *badger.Txn) error {
		if t, err = get[Tenant](txn, key(tenantTable, name), SubjectTenant, name); err != nil {
			return err
		}
		t.StorageQuotaBytes = quotaBytes
		if err := t.Check(); err != nil {
			return err
		}
		return put(txn, key(tenantTable, name), t)
	})
	return t, err
}

// Tenants returns all tenants by name.
func (r *Registry) Tenants() (tenants []Tenant, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		tenants, err = list[Tenant](txn, tenantTable)
		return err
	})
	return tenants, err
}

// CreateSource keeps a new source. Errors are those of [Source.Check], [ErrNotFound] for the tenant and [ErrExists].
func (r *Registry) CreateSource(s Source) error {
	if err := s.Check(); err != nil {
		return err
	}
	return r.update(func(txn *badger.Txn) error {
		if _, err := get[Tenant](txn, key(tenantTable, s.Tenant), SubjectTenant, s.Tenant); err != nil {
			return err
		}
		return create(txn, key(sourceTable, s.Tenant, s.Name), SubjectSource, s.Tenant+"/"+s.Name, s)
	})
}

// Sources returns a tenant's sources by name, or all by tenant and name where tenant is empty. The error is
// [ErrNotFound] for a tenant that does not exist.
func (r *Registry) Sources(tenant string) ([]Source, error) {
	return listOf[Source](r, sourceTable, tenant)
}

// listOf lists a table whose keys begin with the tenant: that tenant's records, or all where tenant is empty.
func listOf[T any](r *Registry, table byte, tenant string) (records []T, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		if tenant == "" {
			records, err = list[T](txn, table)
			return err
		}
		if _, err := get[Tenant](txn, key(tenantTable, tenant), SubjectTenant, tenant); err != nil {
			return err
		}
		records, err = list[T](txn, table, tenant)
		return err
	})
	return records, err
}
