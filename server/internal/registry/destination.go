package registry

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// Destination is one place where a tenant's recordings go.
type Destination struct {
	Tenant    string             `json:"tenant"`
	Name      string             `json:"name"` // a label, within the tenant
	Kind      backup.StorageKind `json:"kind"`
	Origin    ledger.Origin      `json:"origin"`     // of its log
	ServerKey ledger.Verifier    `json:"server_key"` // the server's key when the log began
	CreatedAt time.Time          `json:"created_at"`
	Agent     string             `json:"agent"`      // the name of the agent that a token let in; empty before
	AgentKey  ledger.Verifier    `json:"agent_key"`  // that agent's key for the log; empty before
	RunNumber int64              `json:"run_number"` // how often a run was asked for
	// Previous is the last known head of the log that this one continues; zero where it continues none, or where nothing
	// is known of that log but its origin.
	Previous ledger.KnownHead `json:"previous,omitzero"`
}

// CreateDestination keeps a new destination, with a new log identifier and a new key for the log. Errors are
// [ErrBadName], [ErrNotFound] for the tenant, [ErrEnded] and [ErrExists].
func (r *Registry) CreateDestination(tenant, name string, kind backup.StorageKind, at time.Time) (Destination, error) {
	if kind.WindowDays() == 0 {
		return Destination{}, fmt.Errorf("create destination %s/%s: unknown storage kind %v", tenant, name, kind)
	}
	if err := ledger.CheckLabel(name); err != nil {
		return Destination{}, fmt.Errorf("create destination: %w: %w", ErrBadName, err)
	}
	d := Destination{Tenant: tenant, Name: name, Kind: kind, CreatedAt: at.UTC()}
	err := r.update(func(txn *badger.Txn) error {
		if _, err := get[Tenant](txn, key(tenantTable, tenant), SubjectTenant, tenant); err != nil {
			return err
		}
		if err := checkEnded(txn, tenant); err != nil {
			return err
		}
		kept, err := newLog(&d)
		if err != nil {
			return fmt.Errorf("create destination %s/%s: %w", tenant, name, err)
		}
		if err := create(txn, key(destinationTable, tenant, name), SubjectDestination, tenant+"/"+name, d); err != nil {
			return err
		}
		return put(txn, key(logKeyTable, tenant, name), kept)
	})
	if err != nil {
		return Destination{}, err
	}
	return d, nil
}

// newLog gives a destination a new log identifier and a new key for the log, which it returns.
func newLog(d *Destination) (kept logKey, err error) {
	var logID [16]byte
	rand.Read(logID[:]) // never fails, see crypto/rand
	if d.Origin, err = ledger.NewOrigin(d.Tenant, d.Name, hex.EncodeToString(logID[:])); err != nil {
		return logKey{}, err
	}
	kept, signing, err := newLogKey(d.Origin)
	if err != nil {
		return logKey{}, err
	}
	d.ServerKey = signing.Verifier()
	return kept, nil
}

// Destination returns a destination, or [ErrNotFound].
func (r *Registry) Destination(tenant, name string) (d Destination, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		d, err = destination(txn, tenant, name)
		return err
	})
	return d, err
}

// DestinationOf returns the destination whose log has this origin, as it was when that log was restarted where that is
// not its log any more, or [ErrNotFound].
func (r *Registry) DestinationOf(origin ledger.Origin) (d Destination, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		d, err = destinationOf(txn, origin)
		if errors.Is(err, ErrNotFound) {
			var ended formerLog
			ended, err = former(txn, origin)
			d = ended.Destination
		}
		return err
	})
	return d, err
}

// Destinations returns a tenant's destinations by name, or all by tenant and name where tenant is empty. The error
// is [ErrNotFound] for a tenant that does not exist.
func (r *Registry) Destinations(tenant string) ([]Destination, error) {
	return listOf[Destination](r, destinationTable, tenant)
}

// firstKey returns the key with which a log began, also of one that was restarted.
func firstKey(txn *badger.Txn, origin ledger.Origin) (logKey, error) {
	d, err := destinationOf(txn, origin)
	if errors.Is(err, ErrNotFound) {
		ended, err := former(txn, origin)
		return ended.Key, err
	}
	if err != nil {
		return logKey{}, err
	}
	return get[logKey](txn, key(logKeyTable, d.Tenant, d.Name), SubjectDestination, d.Tenant+"/"+d.Name)
}

// RequestRun counts one more request to run a destination now and returns their number. The error is [ErrNotFound].
func (r *Registry) RequestRun(tenant, name string) (number int64, err error) {
	err = r.update(func(txn *badger.Txn) error {
		d, err := destination(txn, tenant, name)
		if err != nil {
			return err
		}
		d.RunNumber++
		number = d.RunNumber
		return put(txn, key(destinationTable, tenant, name), d)
	})
	return number, err
}

func destination(txn *badger.Txn, tenant, name string) (Destination, error) {
	return get[Destination](txn, key(destinationTable, tenant, name), SubjectDestination, tenant+"/"+name)
}

func destinationOf(txn *badger.Txn, origin ledger.Origin) (Destination, error) {
	d, err := destination(txn, origin.Tenant(), origin.Destination())
	if err == nil && d.Origin != origin {
		err = &SubjectError{SubjectDestination, string(origin), ErrNotFound}
	}
	return d, err
}
