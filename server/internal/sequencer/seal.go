package sequencer

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Manifest is a manifest whose lines are staged in the store, and what is said of it when it is sealed.
type Manifest struct {
	Number   int64 // the last sealed one + 1
	Root     tlog.Hash
	Night    backup.Date
	Items    int64
	Bytes    int64
	Deadline time.Time
	// Of the night's interactions: how many this manifest names, nil where nothing was announced, and how many of them have no
	// recording.
	Interactions *int64
	Unrecorded   []ledger.UnrecordedCount // ascending by reason
}

func (m Manifest) sealed() ledger.Sealed {
	return ledger.Sealed{
		Manifest: m.Number, Root: m.Root, Night: m.Night, Items: m.Items, Bytes: m.Bytes, Deadline: m.Deadline,
		Interactions: m.Interactions, Unrecorded: m.Unrecorded,
	}
}

// Seal appends the sealed of a staged manifest. The error wraps [store.ErrNoManifest] where other lines are staged, and is
// a [*ledger.RefusedError] where the number is not the next one. As with everything that the sealer does, it wraps
// [ErrRecovering] where the log is not [Sequencer.Ready].
func (s *Sequencer) Seal(ctx context.Context, m Manifest, at time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.Ready(); err != nil {
		return err
	}
	return s.append(ctx, at, m.sealed())
}

// Withdrawal takes items of one manifest back. Reason is one of ledger.WithdrawnChanged and so on. The indexes have at
// most [ledger.MaxRanges] ranges.
type Withdrawal struct {
	Manifest int64
	Indexes  ledger.Set
	Reason   string
}

// Withdraw takes back those of the items whose state that changes (pending, expired or waived), without a
// replacement, and returns them. Where there are none it does nothing.
func (s *Sequencer) Withdraw(ctx context.Context, w Withdrawal, at time.Time) (ledger.Set, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.Ready(); err != nil {
		return ledger.Set{}, err
	}
	body, err := s.withdrawn(w)
	if err != nil || body.Indexes.IsEmpty() {
		return ledger.Set{}, err
	}
	return body.Indexes, s.append(ctx, at, body)
}

// Replace is [Sequencer.Withdraw] and, in the same transaction, [Sequencer.Seal] of the manifest that replaces what is
// taken back. Where no item changes its state any more the manifest is sealed all the same: its items are new.
func (s *Sequencer) Replace(ctx context.Context, w Withdrawal, m Manifest, at time.Time) (ledger.Set, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.Ready(); err != nil {
		return ledger.Set{}, err
	}
	body, err := s.withdrawn(w)
	if err != nil {
		return ledger.Set{}, err
	}
	if body.Indexes.IsEmpty() {
		return body.Indexes, s.append(ctx, at, m.sealed())
	}
	body.Replacement = m.Number
	return body.Indexes, s.append(ctx, at, body, m.sealed())
}

func (s *Sequencer) withdrawn(w Withdrawal) (ledger.Withdrawn, error) {
	var m ledger.Manifest
	var ok bool
	s.log.View(func(log *ledger.Log) { m, ok = log.Manifest(w.Manifest) })
	if !ok {
		return ledger.Withdrawn{}, fmt.Errorf("withdraw items of %s: manifest %d is not sealed: %w", s.Origin(), w.Manifest, store.ErrNotFound)
	}
	states, err := s.log.States(w.Manifest)
	if err != nil {
		return ledger.Withdrawn{}, fmt.Errorf("withdraw items of manifest %d: %w", w.Manifest, err)
	}
	indexes := states.Among(w.Indexes, backup.Pending, backup.Expired, backup.Waived)
	return ledger.Withdrawn{Manifest: w.Manifest, Root: m.Root, Indexes: indexes, Reason: w.Reason}, nil
}

// Manifest returns what the log says of a sealed manifest; false where it is not sealed.
func (s *Sequencer) Manifest(number int64) (m ledger.Manifest, ok bool) {
	s.log.View(func(log *ledger.Log) { m, ok = log.Manifest(number) })
	return m, ok
}
