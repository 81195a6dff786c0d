// Package sequencer puts the entries of a destination's log in order. A [Sequencer] is the only writer of its log at the
// server: it signs the server's entries, judges the agent's receipts, signs heads, and keeps the sessions apart. A
// [Set] has one for every destination.
//
// It also recovers a log that went back in time (proto/README.md, section 4.6): it compares heads before anything else,
// takes from an agent the tail that the server once signed and lost, keeps what that replaces as evidence, and writes
// nothing to a log that may lack something.
//
// It reads no source, knows no gRPC and reads no clock: its callers say what time it is.
package sequencer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/registry"
)

var (
	// ErrSuperseded says that another process of the agent began later: the caller stops.
	ErrSuperseded = errors.New("another process of this agent began later")
	// ErrNoSession says that no session has this number yet: the caller opens one.
	ErrNoSession = errors.New("the server does not know this session")
	// ErrOfferWanted says that the server's log does not contain a head that the caller holds.
	ErrOfferWanted = errors.New("the server's log does not contain this head")
	// ErrOtherKey says that the log's current server key is none of those that the sequencer was given.
	ErrOtherKey = errors.New("the log has another server key")
	// ErrBusy says that somebody is writing to the log: what was to be done has time until the next occasion.
	ErrBusy = errors.New("the log is being written to")
	// ErrRetired says that the log has ended: nothing but another server key is appended to it.
	ErrRetired = errors.New("the destination has ended")
)

// Sequencer is the sole writer of one destination's log at the server. Its methods may be called concurrently.
type Sequencer struct {
	log      *store.Ledger
	first    ledger.Verifier   // the key with which an empty log begins
	previous *ledger.KnownHead // of the log that this one continues, nil where there is none
	registry *registry.Registry
	evidence Evidence
	dir      string
	room     func() error
	logger   *slog.Logger

	offering sync.Mutex   // held while an offer is taken in
	replaced atomic.Int64 // how often the log's end was replaced

	writing   sync.Mutex // held from looking at the log until an append that rests on it is done; guards what follows
	continued bool       // by another log, since this one was restarted

	mu       sync.Mutex // guards what follows
	keys     map[ledger.Verifier]*ledger.SigningKey
	head     []byte // of the log with headSize entries and headRoot, signed
	headSize int64
	headRoot tlog.Hash
	heard    hearing
	overdue  map[int64]overdue // manifests whose deadline was seen to have passed
	history  history
}

// Options of a [Sequencer] and a [Set].
type Options struct {
	Registry *registry.Registry // required: what is known of logs and of alarms
	Evidence Evidence           // required where an offer may replace something
	Dir      string             // where offers lie while they are taken in; it is made where it does not exist
	Room     func() error       // nil while what is offered may be written to Dir, otherwise why not; nil: always
	Logger   *slog.Logger       // nil: silent
}

// New returns the sequencer of a log, which is empty, and then begins with the first of the keys, or has one of the keys as
// its current server key, otherwise [ErrOtherKey].
func New(log *store.Ledger, keys []*ledger.SigningKey, o Options) (*Sequencer, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Room == nil {
		o.Room = func() error { return nil }
	}
	s := &Sequencer{
		log: log, registry: o.Registry, evidence: o.Evidence, dir: o.Dir, room: o.Room, logger: o.Logger,
		keys: map[ledger.Verifier]*ledger.SigningKey{}, overdue: map[int64]overdue{},
	}
	for _, key := range keys {
		if name := key.Verifier().Name(); name != string(log.Origin()) {
			return nil, fmt.Errorf("open the log %s: %w: that of %s", log.Origin(), ErrOtherKey, name)
		}
		s.keys[key.Verifier()] = key
	}
	if len(keys) > 0 {
		s.first = keys[0].Verifier()
	}
	if current := s.ServerKey(); s.keys[current] == nil {
		return nil, fmt.Errorf("open the log %s: %w: %s, whose private key is not here; "+
			"a later backup of this server has it", log.Origin(), ErrOtherKey, current)
	}
	return s, nil
}

// Origin returns the log's origin.
func (s *Sequencer) Origin() ledger.Origin { return s.log.Origin() }

// Ledger returns the stored log, to be read only.
func (s *Sequencer) Ledger() *store.Ledger { return s.log }

// Last returns the number of the last sealed manifest, 0 where there is none.
func (s *Sequencer) Last() (number int64) {
	s.log.View(func(log *ledger.Log) { number = int64(len(log.Manifests)) })
	return number
}

// Begin appends the genesis, unless the log has one or once had one: a log that was lost recovers, it does not begin again.
func (s *Sequencer) Begin(ctx context.Context, storage backup.StorageKind, windowDays int, at time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.remember(ctx, false); err != nil {
		return err
	}
	rec, err := s.record()
	if err != nil || rec.Begun || rec.Recovering {
		return err
	}
	if err := s.append(ctx, at, ledger.Genesis{Storage: storage, WindowDays: windowDays, ServerKey: s.first, Previous: s.previous}); err != nil {
		return err
	}
	return s.remember(ctx, true)
}

// Retired reports whether the log has ended.
func (s *Sequencer) Retired() (retired bool) {
	s.log.View(func(log *ledger.Log) { retired = log.Retired })
	return retired
}

// append signs entries of the server and appends them in one transaction. s.writing is held.
func (s *Sequencer) append(ctx context.Context, at time.Time, bodies ...ledger.Body) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	key, err := s.signer(s.ServerKey())
	if err != nil {
		return err
	}
	leaves := make([][]byte, len(bodies))
	for i, body := range bodies {
		signers := []*ledger.SigningKey{key}
		if rekeyed, ok := body.(ledger.Rekeyed); ok {
			if key, err = s.signer(rekeyed.NewKey); err != nil {
				return err
			}
			signers = append(signers, key)
		}
		leaf, err := ledger.Sign(ledger.Entry{Origin: s.Origin(), Time: at.UTC().Truncate(time.Second), Body: body}, signers...)
		if err != nil {
			return fmt.Errorf("sign %s for the log %s: %w", body.Kind(), s.Origin(), err)
		}
		leaves[i] = leaf
	}
	return s.log.Append(leaves...)
}
