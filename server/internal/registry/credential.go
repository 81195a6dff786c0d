package registry

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/identity"
)

// Credential is the certificate of a person or program, which is no agent.
type Credential struct {
	Role      identity.Role `json:"role"`
	Serial    string        `json:"serial"` // as identity.Serial writes it
	IssuedAt  time.Time     `json:"issued_at"`
	End       time.Time     `json:"end"`
	IssuedBy  string        `json:"issued_by"`            // a role, or "local" for a command on the server itself
	RevokedAt *time.Time    `json:"revoked_at,omitempty"` // nil where it was not
}

// RevokedAgent is an agent whose certificates are refused for good.
type RevokedAgent struct {
	Tenant  string            `json:"tenant"`
	Name    string            `json:"name"`
	KeyHash [sha256.Size]byte `json:"key_hash"` // of the agent's certificate when it was revoked
	At      time.Time         `json:"at"`
}

// CreateCredential keeps a new credential. Errors are [ErrBadName], [ErrNotFound] for the tenant, [ErrEnded] where that was
// retired, and [ErrExists] where somebody of that role has a credential that is good at that time.
func (r *Registry) CreateCredential(c Credential, at time.Time) error {
	if err := c.Role.Check(); err != nil {
		return fmt.Errorf("credential: %w: %w", ErrBadName, err)
	}
	if c.Role.Kind == identity.KindAgent {
		return fmt.Errorf("credential: %w: %s is an agent", ErrBadName, c.Role)
	}
	return r.update(func(txn *badger.Txn) error {
		if c.Role.Tenant != "" {
			if _, err := get[Tenant](txn, key(tenantTable, c.Role.Tenant), SubjectTenant, c.Role.Tenant); err != nil {
				return err
			}
			if err := checkEnded(txn, c.Role.Tenant); err != nil {
				return err
			}
		}
		known, err := list[Credential](txn, credentialTable)
		if err != nil {
			return err
		}
		for _, k := range known {
			if k.Role == c.Role && k.RevokedAt == nil && at.Before(k.End) {
				return &SubjectError{SubjectCredential, c.Role.String(), ErrExists}
			}
		}
		return create(txn, credentialKey(c.Serial), SubjectCredential, c.Serial, c)
	})
}

// KnowCredential keeps a credential that was made without the registry's knowledge. One that is known stays as it is.
func (r *Registry) KnowCredential(c Credential) error {
	err := r.update(func(txn *badger.Txn) error {
		return create(txn, credentialKey(c.Serial), SubjectCredential, c.Serial, c)
	})
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// Credentials returns a tenant's credentials, or all where tenant is empty, by kind, tenant, name and time of issue. The
// error is [ErrNotFound] for a tenant that does not exist.
func (r *Registry) Credentials(tenant string) (credentials []Credential, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		if tenant != "" {
			if _, err := get[Tenant](txn, key(tenantTable, tenant), SubjectTenant, tenant); err != nil {
				return err
			}
		}
		credentials, err = list[Credential](txn, credentialTable)
		return err
	})
	credentials = slices.DeleteFunc(credentials, func(c Credential) bool { return tenant != "" && c.Role.Tenant != tenant })
	slices.SortFunc(credentials, func(a, b Credential) int {
		return cmp.Or(cmp.Compare(a.Role.Kind, b.Role.Kind), cmp.Compare(a.Role.Tenant, b.Role.Tenant),
			cmp.Compare(a.Role.Name, b.Role.Name), a.IssuedAt.Compare(b.IssuedAt), cmp.Compare(a.Serial, b.Serial))
	})
	return credentials, err
}

// RevokeCredential keeps that a certificate was revoked, and returns it. One that was stays as it was. The error is
// [ErrNotFound].
func (r *Registry) RevokeCredential(serial string, at time.Time) (c Credential, err error) {
	err = r.update(func(txn *badger.Txn) error {
		c, err = get[Credential](txn, credentialKey(serial), SubjectCredential, serial)
		if err != nil || c.RevokedAt != nil {
			return err
		}
		revoked := at.UTC()
		c.RevokedAt = &revoked
		return put(txn, credentialKey(serial), c)
	})
	return c, err
}

// RevokeAgent keeps that an agent was revoked. One that was stays as it was. The error is [ErrNotFound] for an agent that
// was not let in.
func (r *Registry) RevokeAgent(tenant, name string, at time.Time) error {
	return r.update(func(txn *badger.Txn) error {
		a, err := agent(txn, tenant, name)
		if err != nil {
			return err
		}
		err = create(txn, key(revokedAgentTable, tenant, name), SubjectAgent, tenant+"/"+name, RevokedAgent{tenant, name, a.KeyHash, at.UTC()})
		if errors.Is(err, ErrExists) {
			return nil
		}
		return err
	})
}

// RevokedAgents returns the revoked agents of all tenants, by tenant and name.
func (r *Registry) RevokedAgents() (agents []RevokedAgent, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		agents, err = list[RevokedAgent](txn, revokedAgentTable)
		return err
	})
	return agents, err
}

// refuseRevoked returns [ErrRevoked] where an agent of that name, or with that key, was revoked.
func refuseRevoked(txn *badger.Txn, a Agent) error {
	revoked, err := list[RevokedAgent](txn, revokedAgentTable)
	if err != nil {
		return err
	}
	for _, r := range revoked {
		if r.Tenant == a.Tenant && r.Name == a.Name || r.KeyHash == a.KeyHash {
			return fmt.Errorf("agent %s/%s: %w", a.Tenant, a.Name, ErrRevoked)
		}
	}
	return nil
}

func credentialKey(serial string) []byte { return key(credentialTable, serial) }
