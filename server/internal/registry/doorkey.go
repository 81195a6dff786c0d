package registry

import (
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// MaxDoorKeys is how many keys of the door a tenant may have.
const MaxDoorKeys = 100

// ErrTooManyKeys says that a tenant has as many keys as it may have.
var ErrTooManyKeys = errors.New("there are as many keys as there may be")

// DoorKey is an SSH public key that is let in at the door for people, as one tenant.
type DoorKey struct {
	Tenant      string    `json:"tenant"`
	Fingerprint string    `json:"fingerprint"` // SHA256:…, as OpenSSH writes it
	PublicKey   string    `json:"public_key"`  // a line of an authorized_keys file without options and comment
	Comment     string    `json:"comment"`
	AddedBy     string    `json:"added_by"` // a role
	AddedAt     time.Time `json:"added_at"`
	End         time.Time `json:"end"` // from when on it is not let in any more
}

// AddDoorKey keeps a new key. Errors are [ErrNotFound] for the tenant, [ErrEnded] where that was retired, [ErrExists] where
// the tenant has the key, and [ErrTooManyKeys].
func (r *Registry) AddDoorKey(k DoorKey) error {
	return r.update(func(txn *badger.Txn) error {
		if _, err := get[Tenant](txn, key(tenantTable, k.Tenant), SubjectTenant, k.Tenant); err != nil {
			return err
		}
		if err := checkEnded(txn, k.Tenant); err != nil {
			return err
		}
		known, err := list[DoorKey](txn, doorKeyTable, k.Tenant)
		if err != nil {
			return err
		}
		if err := create(txn, doorKeyKey(k.Tenant, k.Fingerprint), SubjectDoorKey, doorKeyName(k.Tenant, k.Fingerprint), k); err != nil {
			return err
		}
		if len(known) >= MaxDoorKeys {
			return fmt.Errorf("add a door key of tenant %s: %w: %d", k.Tenant, ErrTooManyKeys, len(known))
		}
		return nil
	})
}

// DoorKeys returns a tenant's keys by fingerprint, or all by tenant and fingerprint where tenant is empty. The error is
// [ErrNotFound] for a tenant that does not exist.
func (r *Registry) DoorKeys(tenant string) ([]DoorKey, error) {
	return listOf[DoorKey](r, doorKeyTable, tenant)
}

// DoorKey returns the key with this fingerprint of a tenant that was not retired. Errors are [ErrNotFound] and [ErrEnded].
func (r *Registry) DoorKey(tenant, fingerprint string) (k DoorKey, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		if err := checkEnded(txn, tenant); err != nil {
			return err
		}
		k, err = get[DoorKey](txn, doorKeyKey(tenant, fingerprint), SubjectDoorKey, doorKeyName(tenant, fingerprint))
		return err
	})
	return k, err
}

// RemoveDoorKey removes a key and returns what it was. The error is [ErrNotFound].
func (r *Registry) RemoveDoorKey(tenant, fingerprint string) (k DoorKey, err error) {
	err = r.update(func(txn *badger.Txn) error {
		k, err = get[DoorKey](txn, doorKeyKey(tenant, fingerprint), SubjectDoorKey, doorKeyName(tenant, fingerprint))
		if err != nil {
			return err
		}
		return txn.Delete(doorKeyKey(tenant, fingerprint))
	})
	return k, err
}

func doorKeyKey(tenant, fingerprint string) []byte { return key(doorKeyTable, tenant, fingerprint) }

func doorKeyName(tenant, fingerprint string) string { return tenant + "/" + fingerprint }
