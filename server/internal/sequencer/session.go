package sequencer

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

// Head returns the log's head, signed. The same size always gives the same bytes: Ed25519 signatures do not vary
// (RFC 8032), and neither does the root of a log's prefix.
func (s *Sequencer) Head() (note []byte, head ledger.Head, err error) {
	size, root := s.log.Position()
	return s.sign(size, root)
}

// HeadAt returns the signed head of the log's first size entries, at least 1.
func (s *Sequencer) HeadAt(size int64) (note []byte, head ledger.Head, err error) {
	root, err := s.log.RootAt(size)
	if err != nil {
		return nil, ledger.Head{}, err
	}
	return s.sign(size, root)
}

// sign signs the head of the log's first size entries with the key that is current after them.
func (s *Sequencer) sign(size int64, root tlog.Hash) ([]byte, ledger.Head, error) {
	head := ledger.Head{Origin: s.Origin(), Size: size, Root: root}
	server, err := s.serverKeyAt(size)
	if err != nil {
		return nil, ledger.Head{}, err
	}
	key, err := s.signer(server)
	if err != nil {
		return nil, ledger.Head{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.headSize == size && s.headRoot == root && size > 0 {
		return s.head, head, nil
	}
	note, err := ledger.SignHead(head, key)
	if err != nil {
		return nil, ledger.Head{}, err
	}
	if size >= s.headSize {
		s.head, s.headSize, s.headRoot = note, size, root
	}
	return note, head, nil
}

// RecordAgreement keeps a head that the agent cosigned that is assigned after the head's entries, once it is verified and
// found in the log. One that is not later than the one kept changes nothing. The error wraps [ErrOfferWanted] where the log
// does not contain the head: it recovers from then on; and it is a [*ledger.RefusedError] where it is not what it should be.
// It does not wait for whoever writes to the log, which may take long while an offer is taken: the error is [ErrBusy] then.
func (s *Sequencer) RecordAgreement(ctx context.Context, note []byte) error {
	head, _, err := ledger.ParseHead(note)
	if err != nil {
		return err
	}
	if agreed, ok := s.Agreed(); ok && head == agreed {
		return nil
	}
	server, agent, err := s.keysAt(head.Size)
	if err != nil {
		return err
	}
	if head, _, err = ledger.OpenAgreedHead(note, server, agent); err != nil {
		return err
	}
	if !s.writing.TryLock() {
		return fmt.Errorf("keep the agreed head of %s: %w", s.Origin(), ErrBusy)
	}
	defer s.writing.Unlock()
	if err := s.contains(head.Size, head.Root); errors.Is(err, ErrOfferWanted) {
		return errors.Join(err, s.want(ctx, note))
	} else if err != nil {
		return err
	}
	if err := s.log.PutAgreedBy(note, server, agent); err != nil {
		return err
	}
	return s.held(head.Size)
}

// Agreed returns the latest agreed head; false where nothing was agreed yet.
func (s *Sequencer) Agreed() (ledger.Head, bool) {
	note := s.log.Agreed()
	if len(note) == 0 {
		return ledger.Head{}, false
	}
	head, _, err := ledger.ParseHead(note)
	return head, err == nil
}

// OpenSession returns the number of the session of the agent's process with this random identifier: the same for the same
// process, and higher than all before for a new one. It supersedes others only from its first use ([Sequencer.CheckSession])
// on: what a killed process had sent may arrive when the next one is at work, but nobody will ever use its session. The error
// wraps [ErrSuperseded] where a later session was used.
func (s *Sequencer) OpenSession(processID [16]byte) (int64, error) {
	number, err := s.log.Session(processID)
	if err != nil {
		return 0, err
	}
	return number, s.Superseded(number)
}

// Superseded returns [ErrSuperseded] where a later session than the one numbered was used.
func (s *Sequencer) Superseded(number int64) error {
	if current := s.log.CurrentSession(); number < current {
		return fmt.Errorf("session %d of %s, the current one is %d: %w", number, s.Origin(), current, ErrSuperseded)
	}
	return nil
}

// CheckSession lets a call of a session go on, which is the current one from then on. It returns [ErrSuperseded] where a later
// session was used, and [ErrNoSession] where it was not opened yet, as far as the log knows: the server went back in
// time since. So it did where the agent that serves the destination has session 0, that of all others: another one served it
// when the session was opened.
func (s *Sequencer) CheckSession(number int64) error {
	if number < 1 {
		return fmt.Errorf("session %d of %s: %w", number, s.Origin(), ErrNoSession)
	}
	if err := s.Superseded(number); err != nil {
		return err
	}
	if number > s.log.LastSession() {
		return fmt.Errorf("session %d of %s: %w", number, s.Origin(), ErrNoSession)
	}
	if number > s.log.CurrentSession() {
		return s.log.UseSession(number)
	}
	return nil
}
