// Package sequencer puts the entries of a destination's log in order. A [Sequencer] is the only writer of its log at the
// server: it signs the server's entries, judges the agent's receipts, signs heads, and keeps the sessions apart. A
// [Set] has one for every destination.
//
// It reads no source, knows no gRPC and reads no clock: its callers say what time it is.
package sequencer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

var (
	// ErrSuperseded says that another process of the agent began later: the caller stops.
	ErrSuperseded = errors.New("another process of this agent began later")
	// ErrOfferWanted says that the server's log does not contain a head that the caller holds.
	ErrOfferWanted = errors.New("the server's log does not contain this head")
	// ErrOtherKey says that the log's current server key is not the one that the sequencer was given.
	ErrOtherKey = errors.New("the log has another server key")
)

// Sequencer is the sole writer of one destination's log at the server. Its methods may be called concurrently.
type Sequencer struct {
	log *store.Ledger
	key *ledger.SigningKey

	writing sync.Mutex // held from looking at the log until an append that rests on it is done

	mu       sync.Mutex // guards what follows
	head     []byte     // of the log at headSize, signed
	headSize int64
	heard    time.Time       // the latest server time echoed with an empty outbox
	agents   map[string]bool // names ever assigned, as far as the log was read
	read     int64           // entries that were read for agents
}

// New returns the sequencer of a log, which is empty or has key as its current server key, otherwise [ErrOtherKey].
func New(log *store.Ledger, key *ledger.SigningKey) (*Sequencer, error) {
	s := &Sequencer{log: log, key: key, agents: map[string]bool{}}
	var current ledger.Verifier
	log.View(func(state *ledger.Log) { current = state.ServerKey })
	if current != "" && current != key.Verifier() {
		return nil, fmt.Errorf("open the log %s: %w: %s instead of %s", log.Origin(), ErrOtherKey, current, key.Verifier())
	}
	if name := key.Verifier().Name(); name != string(log.Origin()) {
		return nil, fmt.Errorf("open the log %s: %w: that of %s", log.Origin(), ErrOtherKey, name)
	}
	return s, nil
}

// Origin returns the log's origin.
func (s *Sequencer) Origin() ledger.Origin { return s.log.Origin() }

// Ledger returns the stored log, to be read only.
func (s *Sequencer) Ledger() *store.Ledger { return s.log }

// ServerKey returns the verifier of the log's server key.
func (s *Sequencer) ServerKey() ledger.Verifier { return s.key.Verifier() }

// Last returns the number of the last sealed manifest, 0 where there is none.
func (s *Sequencer) Last() (number int64) {
	s.log.View(func(log *ledger.Log) { number = int64(len(log.Manifests)) })
	return number
}

// Begin appends the genesis, unless the log has one.
func (s *Sequencer) Begin(ctx context.Context, storage backup.StorageKind, windowDays int, at time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if size, _ := s.log.Position(); size > 0 {
		return nil
	}
	return s.append(ctx, at, ledger.Genesis{Storage: storage, WindowDays: windowDays, ServerKey: s.key.Verifier()})
}

// append signs entries of the server and appends them in one transaction. s.writing is held.
func (s *Sequencer) append(ctx context.Context, at time.Time, bodies ...ledger.Body) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	leaves := make([][]byte, len(bodies))
	for i, body := range bodies {
		leaf, err := ledger.Sign(ledger.Entry{Origin: s.Origin(), Time: at.UTC().Truncate(time.Second), Body: body}, s.key)
		if err != nil {
			return fmt.Errorf("sign %s for the log %s: %w", body.Kind(), s.Origin(), err)
		}
		leaves[i] = leaf
	}
	return s.log.Append(leaves...)
}
