package sequencer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Claim is what a caller says of the log that it holds.
type Claim struct {
	Size int64
	Root tlog.Hash
	// Kept is the agreed head kept at the destination, empty where there is none or where it is not known.
	Kept []byte
	// KeptKnown says that Kept is what stands there now.
	KeptKnown bool
	// Speaks says that the caller is the agent that serves the destination: its word ends the recovering of a log.
	Speaks bool
}

// Compare returns nil where the log contains the caller's own head and the agreed head kept at the destination, where there
// is one; recovering says that the log still waits for more. Nothing is sent or signed for a caller before. Otherwise the
// error is
//
//   - [ErrOfferWanted] where the log lacks the caller's own head,
//   - [ErrTailLost] where it has the caller's own head and lacks the kept one, which the server signed: nobody can supply it,
//   - [ErrFork] or [ErrTailLost] while such an alarm stands. What was lost and is found clears the latter.
//   - a [*ledger.RefusedError] where the kept head has not the form of one of this log's heads, or the server never signed it.
func (s *Sequencer) Compare(ctx context.Context, c Claim, at time.Time) (recovering bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.stopped(); errors.Is(err, ErrFork) {
		return false, err
	}
	keptLost, err := s.keptLost(ctx, c.Kept)
	if err != nil {
		return false, err
	}
	if err := s.contains(c.Size, c.Root); err != nil {
		return false, err
	}
	return s.afterContained(ctx, c, keptLost, at)
}

// afterContained goes on once the caller's own log is known to be contained. s.writing is held.
func (s *Sequencer) afterContained(ctx context.Context, c Claim, keptLost bool, at time.Time) (recovering bool, err error) {
	if err := s.held(c.Size); err != nil {
		return false, err
	}
	if keptLost {
		return true, s.tailLost(ctx, at, c.Kept)
	}
	return s.settle(ctx, c.Speaks && (c.KeptKnown || len(c.Kept) > 0), at)
}

// Shown reports whether the log lacks a head that the caller keeps, and that the server signed. It recovers from then on.
// Whatever else is not as it should be is an error, as [Sequencer.Compare] has it.
func (s *Sequencer) Shown(ctx context.Context, kept []byte) (lost bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.keptLost(ctx, kept)
}

// keptLost reports whether the log lacks the kept head, and wants it from then on. A head that the server did not sign is
// a [*ledger.RefusedError].
func (s *Sequencer) keptLost(ctx context.Context, kept []byte) (bool, error) {
	if len(kept) == 0 {
		return false, nil
	}
	head, _, err := ledger.ParseHead(kept)
	if err != nil {
		return false, err
	}
	if head.Origin != s.Origin() {
		return false, &ledger.RefusedError{Reason: ledger.ReasonOrigin, Detail: fmt.Sprintf("the head is of the log %s, not of %s", head.Origin, s.Origin())}
	}
	if err := s.contains(head.Size, head.Root); !errors.Is(err, ErrOfferWanted) {
		return false, err
	}
	if err := s.signed(kept); err != nil {
		return false, err
	}
	return true, s.want(ctx, kept)
}

// signed returns nil where the server's signature on a head of this log, agreed or not, is by a key that the log has or had.
// Otherwise the error is a [*ledger.RefusedError].
func (s *Sequencer) signed(note []byte) error {
	head, agreed, err := ledger.ParseHead(note)
	if err != nil {
		return err
	}
	if head.Origin != s.Origin() {
		return &ledger.RefusedError{Reason: ledger.ReasonOrigin, Detail: fmt.Sprintf("the head is of the log %s, not of %s", head.Origin, s.Origin())}
	}
	if agreed { // the server's signature comes first
		note = note[:bytes.LastIndexByte(note[:len(note)-1], '\n')+1]
	}
	keys, err := s.serverKeys()
	if err != nil {
		return err
	}
	for _, key := range keys {
		if _, err = ledger.OpenHead(note, key); err == nil {
			return nil
		}
	}
	return err
}

func (s *Sequencer) contains(size int64, root tlog.Hash) error {
	ours, err := s.log.RootAt(size)
	if errors.Is(err, store.ErrNotFound) || err == nil && ours != root {
		return fmt.Errorf("compare heads of %s at size %d: %w", s.Origin(), size, ErrOfferWanted)
	}
	return err
}
