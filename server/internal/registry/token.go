package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// MaxTokenLifetime is the longest time for which a token can be redeemed.
const MaxTokenLifetime = 30 * day

// Token lets one agent in, to serve one destination. It is known by the SHA-256 of its secret; the secret itself is
// not kept.
type Token struct {
	Origin     ledger.Origin `json:"origin"` // of the log of the destination
	CreatedAt  time.Time     `json:"created_at"`
	ExpireTime time.Time     `json:"expire_time"`
	ForAgent   string        `json:"for_agent,omitempty"` // the agent that the new one replaces; empty where none serves
	Redeemed   *Redemption   `json:"redeemed"`            // nil while it can be redeemed
}

// Redemption is what became of a token: who redeemed it and what was answered.
type Redemption struct {
	RequestHash [sha256.Size]byte `json:"request_hash"` // of the keys that it was redeemed with
	Agent       string            `json:"agent"`
	Certificate []byte            `json:"certificate"` // the agent's, in DER
	At          time.Time         `json:"at"`
}

// Applicant is an agent that redeems a token.
type Applicant struct {
	Agent       Agent             // as it shall be kept
	AgentKey    ledger.Verifier   // its key for the log
	RequestHash [sha256.Size]byte // the same for the same name and keys, otherwise different
	Certificate []byte            // in DER, to answer with if the token was not redeemed before
}

// CreateToken keeps a new token under the SHA-256 of its secret. Errors are [ErrBadLifetime], [ErrNotFound] for the
// destination, [ErrEnded], and [*AssignedError] where an agent already serves it.
func (r *Registry) CreateToken(secretHash [sha256.Size]byte, origin ledger.Origin, expire, at time.Time) error {
	return r.createToken(secretHash, Token{Origin: origin, CreatedAt: at.UTC(), ExpireTime: expire.UTC()})
}

// CreateReplacingToken is [Registry.CreateToken] for a destination that the agent named serves: whoever redeems it takes
// that agent's place. The error is [ErrNotServing] where that agent does not serve it.
func (r *Registry) CreateReplacingToken(secretHash [sha256.Size]byte, origin ledger.Origin, agent string, expire, at time.Time) error {
	return r.createToken(secretHash, Token{Origin: origin, CreatedAt: at.UTC(), ExpireTime: expire.UTC(), ForAgent: agent})
}

func (r *Registry) createToken(secretHash [sha256.Size]byte, t Token) error {
	if lifetime := t.ExpireTime.Sub(t.CreatedAt); lifetime <= 0 || lifetime > MaxTokenLifetime {
		return fmt.Errorf("create token: %w: it is %v, and has to be more than 0 and at most %v", ErrBadLifetime, lifetime, MaxTokenLifetime)
	}
	return r.update(func(txn *badger.Txn) error {
		d, err := destinationOf(txn, t.Origin)
		if err != nil {
			return err
		}
		if err := checkServed(txn, d); err != nil {
			return err
		}
		switch {
		case t.ForAgent != "" && d.Agent != t.ForAgent:
			return fmt.Errorf("create token: agent %s: %w %s/%s", t.ForAgent, ErrNotServing, d.Tenant, d.Name)
		case t.ForAgent == "" && d.Agent != "":
			return assigned(txn, d)
		}
		return create(txn, tokenKey(secretHash), SubjectToken, string(t.Origin), t)
	})
}

// Token returns the token with that SHA-256 of its secret, or [ErrNotFound].
func (r *Registry) Token(secretHash [sha256.Size]byte) (t Token, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		t, err = get[Token](txn, tokenKey(secretHash), SubjectToken, "")
		return err
	})
	return t, err
}

// Redeem lets an agent in: in one transaction it marks the token as redeemed, keeps the agent, and notes it as the
// one that serves the destination. Redeemed again with the same request hash it changes nothing and returns what it
// returned then, also after the token's end. Of several that redeem a token at once, one wins.
//
// Errors are [ErrNotFound] for the token, [ErrUsed] (by other keys), [ErrExpired], [ErrEnded], [ErrRevoked], [ErrNameTaken] (the
// name belongs to an agent with another key) and [*AssignedError] (another agent than the token replaces, or, where it replaces
// none, the same with another key, serves it).
func (r *Registry) Redeem(secretHash [sha256.Size]byte, a Applicant, at time.Time) (redeemed Redemption, err error) {
	err = r.updateAgents(func(txn *badger.Txn) error {
		t, err := get[Token](txn, tokenKey(secretHash), SubjectToken, "")
		if err != nil {
			return err
		}
		switch {
		case t.Redeemed != nil && t.Redeemed.RequestHash != a.RequestHash:
			return ErrUsed
		case t.Redeemed == nil && !at.Before(t.ExpireTime):
			return ErrExpired
		}
		if err := refuseRevoked(txn, a.Agent); err != nil {
			return err
		}
		d, err := destinationOf(txn, t.Origin)
		if err != nil {
			return err
		}
		if err := checkServed(txn, d); err != nil {
			return err
		}
		serves := d.Agent == a.Agent.Name && d.AgentKey == a.AgentKey
		replaces := t.Redeemed == nil && t.ForAgent != "" && d.Agent == t.ForAgent
		if (d.Agent != "" || t.Redeemed != nil) && !serves && !replaces {
			return assigned(txn, d)
		}
		if t.Redeemed != nil {
			redeemed = *t.Redeemed
			return nil
		}
		if err := keepAgent(txn, a.Agent); err != nil {
			return err
		}
		d.Agent, d.AgentKey = a.Agent.Name, a.AgentKey
		if err := put(txn, key(destinationTable, d.Tenant, d.Name), d); err != nil {
			return err
		}
		redeemed = Redemption{a.RequestHash, a.Agent.Name, a.Certificate, at.UTC()}
		t.Redeemed = &redeemed
		return put(txn, tokenKey(secretHash), t)
	})
	if err != nil {
		return Redemption{}, fmt.Errorf("redeem token: %w", err)
	}
	return redeemed, nil
}

// NoteAssigned takes down which agent serves a destination by its log, which alone decides: after a restore the registry may
// be the older one of the two. The error is [ErrNotFound].
func (r *Registry) NoteAssigned(origin ledger.Origin, agent string, agentKey ledger.Verifier) error {
	return r.update(func(txn *badger.Txn) error {
		d, err := destinationOf(txn, origin)
		if err != nil || d.Agent == agent && d.AgentKey == agentKey {
			return err
		}
		d.Agent, d.AgentKey = agent, agentKey
		return put(txn, key(destinationTable, d.Tenant, d.Name), d)
	})
}

func tokenKey(secretHash [sha256.Size]byte) []byte { return key(tokenTable, string(secretHash[:])) }

// assigned returns the error that names the agent of d.
func assigned(txn *badger.Txn, d Destination) error {
	a, err := agent(txn, d.Tenant, d.Agent)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return &AssignedError{Tenant: d.Tenant, Destination: d.Name, Agent: d.Agent, HostName: a.HostName}
}
