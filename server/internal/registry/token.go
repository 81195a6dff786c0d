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
	Redeemed   *Redemption   `json:"redeemed"` // nil while it can be redeemed
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
// destination, and [*AssignedError] where an agent already serves it.
func (r *Registry) CreateToken(secretHash [sha256.Size]byte, origin ledger.Origin, expire, at time.Time) error {
	if lifetime := expire.Sub(at); lifetime <= 0 || lifetime > MaxTokenLifetime {
		return fmt.Errorf("create token: %w: it is %v, and has to be more than 0 and at most %v", ErrBadLifetime, lifetime, MaxTokenLifetime)
	}
	return r.update(func(txn *badger.Txn) error {
		d, err := destinationOf(txn, origin)
		if err != nil {
			return err
		}
		if d.Agent != "" {
			return assigned(txn, d)
		}
		t := Token{Origin: origin, CreatedAt: at.UTC(), ExpireTime: expire.UTC()}
		return create(txn, tokenKey(secretHash), SubjectToken, string(origin), t)
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
// Errors are [ErrNotFound] for the token, [ErrUsed] (by other keys), [ErrExpired], [ErrNameTaken] (the name belongs to
// an agent with another key) and [*AssignedError] (another agent, or the same with another key, serves it).
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
		d, err := destinationOf(txn, t.Origin)
		if err != nil {
			return err
		}
		serves := d.Agent == a.Agent.Name && d.AgentKey == a.AgentKey
		if (d.Agent != "" || t.Redeemed != nil) && !serves {
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

func tokenKey(secretHash [sha256.Size]byte) []byte { return key(tokenTable, string(secretHash[:])) }

// assigned returns the error that names the agent of d.
func assigned(txn *badger.Txn, d Destination) error {
	a, err := agent(txn, d.Tenant, d.Agent)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return &AssignedError{Tenant: d.Tenant, Destination: d.Name, Agent: d.Agent, HostName: a.HostName}
}
