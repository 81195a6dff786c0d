package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// ErrReplaced says that an agent showed a certificate that a later one has replaced.
var ErrReplaced = errors.New("the certificate was replaced by a later one")

// Certificate is a certificate of an agent, as far as admission goes.
type Certificate struct {
	KeyHash [sha256.Size]byte // of its public key (SubjectPublicKeyInfo)
	End     time.Time         // the last instant at which it is good
}

// NextCertificate is what an agent got that renewed, until it shows it.
type NextCertificate struct {
	KeyHash     [sha256.Size]byte `json:"key_hash"`
	Replaces    [sha256.Size]byte `json:"replaces"`    // the key hash of the one in use when it was issued
	Certificate []byte            `json:"certificate"` // in DER, to answer with if the agent asks again
	At          time.Time         `json:"at"`          // when it was issued
}

// renewal is what is kept of an agent's renewals, besides [Agent.KeyHash], which is of the certificate in use.
type renewal struct {
	Next       *NextCertificate `json:"next"`        // nil for none
	ReplacedAt time.Time        `json:"replaced_at"` // when the one before was; zero for never
}

// isNext reports whether a key is of the certificate that comes after the one in use. An agent that was enrolled again
// since has another one in use, and what was to come next is nothing any more.
func (n renewal) isNext(keyHash, inUse [sha256.Size]byte) bool {
	return n.Next != nil && n.Next.KeyHash == keyHash && n.Next.Replaces == inUse
}

// admitted is what [Registry.Admit] has to know of an agent. Only admissions that change nothing are answered from it.
type admitted struct {
	Certificate
	renewal renewal
}

// admissions remembers agents, so that a call costs no read of the database. Whoever changes an agent holds the lock
// while it does.
type admissions struct {
	mu     sync.RWMutex
	agents map[[2]string]admitted // by tenant and name
}

// Renew keeps the certificate that an agent is going to change to, in place of one that it was given before and did not
// show yet. Asked again with the same key it changes nothing and returns what it kept then, unless good says that this
// cannot be answered any more. The error is [ErrNotFound] for an agent that was not let in, and [ErrReplaced] where
// current is not the key of the agent's certificate in use.
func (r *Registry) Renew(tenant, name string, current [sha256.Size]byte, next NextCertificate, good func(certificate []byte) bool) (kept NextCertificate, err error) {
	err = r.updateAgents(func(txn *badger.Txn) error {
		a, err := agent(txn, tenant, name)
		if err != nil {
			return err
		}
		if a.KeyHash != current {
			return ErrReplaced
		}
		n, err := renewalOf(txn, tenant, name)
		if err != nil {
			return err
		}
		if n.isNext(next.KeyHash, current) && good(n.Next.Certificate) {
			kept = *n.Next
			return nil
		}
		kept = next
		kept.Replaces, kept.At = current, kept.At.UTC()
		n.Next = &kept
		return put(txn, key(renewalTable, tenant, name), n)
	})
	if err != nil {
		return NextCertificate{}, fmt.Errorf("renew the certificate of agent %s/%s: %w", tenant, name, err)
	}
	return kept, nil
}

// Admit judges the certificate that an agent shows with a call. The one in use is admitted. One that comes next is put
// in use by that, and the one before is refused from then on: the one that [Registry.Renew] kept, and, as a registry
// that was put back to an older copy has forgotten some, every one that ends later than the one in use; the authority
// issued it to this agent, or it would not have come so far.
//
// Errors are [ErrNotFound] for an agent that was not let in and [*ReplacedError]. It costs no read of the database
// where nothing changes.
func (r *Registry) Admit(tenant, name string, shown Certificate, at time.Time) error {
	a, err := r.admitted(tenant, name)
	if err != nil {
		return fmt.Errorf("admit agent %s/%s: %w", tenant, name, err)
	}
	if a.KeyHash == shown.KeyHash {
		return nil
	}
	if !a.renewal.isNext(shown.KeyHash, a.KeyHash) && !shown.End.After(a.End) {
		return &ReplacedError{Tenant: tenant, Agent: name, At: a.renewal.ReplacedAt}
	}
	return r.activate(tenant, name, shown, at)
}

// Readmit keeps an agent that was let in and that the registry, put back to an older copy, has forgotten, with the certificate that it
// shows. What its machine said of itself is not known. It does nothing where the agent is known. The error is [ErrNotFound]
// for a tenant that does not exist.
func (r *Registry) Readmit(tenant, name string, shown Certificate, at time.Time) error {
	err := r.updateAgents(func(txn *badger.Txn) error {
		if _, err := get[Tenant](txn, key(tenantTable, tenant), SubjectTenant, tenant); err != nil {
			return err
		}
		if _, err := agent(txn, tenant, name); !errors.Is(err, ErrNotFound) {
			return err
		}
		return keepAgent(txn, Agent{Tenant: tenant, Name: name, KeyHash: shown.KeyHash, CertificateEnd: shown.End.UTC(), EnrolledAt: at.UTC()})
	})
	if err != nil {
		return fmt.Errorf("readmit agent %s/%s: %w", tenant, name, err)
	}
	return nil
}

// ReplacedError is [ErrReplaced], with the agent and the time.
type ReplacedError struct {
	Tenant, Agent string
	At            time.Time // when the agent's certificate was replaced last; zero where the registry does not know
}

// Error names the agent.
func (e *ReplacedError) Error() string {
	return fmt.Sprintf("agent %s/%s: %v", e.Tenant, e.Agent, ErrReplaced)
}

// Unwrap returns [ErrReplaced].
func (e *ReplacedError) Unwrap() error { return ErrReplaced }

// activate puts a certificate in use, unless that was done meanwhile.
func (r *Registry) activate(tenant, name string, shown Certificate, at time.Time) error {
	replaced := shown.KeyHash
	err := r.updateAgents(func(txn *badger.Txn) error {
		a, err := agent(txn, tenant, name)
		if err != nil {
			return err
		}
		n, err := renewalOf(txn, tenant, name)
		if err != nil {
			return err
		}
		replaced = a.KeyHash
		switch {
		case a.KeyHash == shown.KeyHash:
			return nil
		case n.isNext(shown.KeyHash, a.KeyHash), shown.End.After(a.CertificateEnd):
		default:
			return &ReplacedError{Tenant: tenant, Agent: name, At: n.ReplacedAt}
		}
		a.KeyHash, a.CertificateEnd = shown.KeyHash, shown.End.UTC()
		if err := put(txn, key(agentTable, tenant, name), a); err != nil {
			return err
		}
		return put(txn, key(renewalTable, tenant, name), renewal{ReplacedAt: at.UTC()})
	})
	if err != nil {
		return fmt.Errorf("put the certificate of agent %s/%s in use: %w", tenant, name, err)
	}
	if replaced != shown.KeyHash && r.Replaced != nil {
		r.Replaced(tenant, name, replaced)
	}
	return nil
}

// admitted returns what is remembered of an agent, and reads it where nothing is.
func (r *Registry) admitted(tenant, name string) (admitted, error) {
	id := [2]string{tenant, name}
	r.admissions.mu.RLock()
	known, ok := r.admissions.agents[id]
	r.admissions.mu.RUnlock()
	if ok {
		return known, nil
	}
	r.admissions.mu.Lock()
	defer r.admissions.mu.Unlock()
	err := r.db.View(func(txn *badger.Txn) error {
		a, err := agent(txn, tenant, name)
		if err != nil {
			return err
		}
		n, err := renewalOf(txn, tenant, name)
		if err != nil {
			return err
		}
		known = admitted{Certificate{a.KeyHash, a.CertificateEnd}, n}
		return nil
	})
	if err != nil {
		return admitted{}, err
	}
	if r.admissions.agents == nil {
		r.admissions.agents = make(map[[2]string]admitted)
	}
	r.admissions.agents[id] = known
	return known, nil
}

// updateAgents is update for what changes agents or their renewals: nobody is admitted by what was remembered before.
func (r *Registry) updateAgents(f func(*badger.Txn) error) error {
	r.admissions.mu.Lock()
	defer r.admissions.mu.Unlock()
	clear(r.admissions.agents)
	return r.update(f)
}

func renewalOf(txn *badger.Txn, tenant, name string) (renewal, error) {
	n, err := get[renewal](txn, key(renewalTable, tenant, name), SubjectAgent, tenant+"/"+name)
	if errors.Is(err, ErrNotFound) {
		return renewal{}, nil
	}
	return n, err
}
