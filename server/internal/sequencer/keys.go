package sequencer

import (
	"context"
	"fmt"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
)

// ServerKey returns the verifier of the log's current server key.
func (s *Sequencer) ServerKey() (current ledger.Verifier) {
	s.log.View(func(log *ledger.Log) { current = log.ServerKey })
	if current == "" {
		return s.first
	}
	return current
}

// FirstServerKey returns the verifier of the server's key with which the log began.
func (s *Sequencer) FirstServerKey() (first ledger.Verifier) {
	s.log.View(func(log *ledger.Log) { first = log.Genesis.ServerKey })
	if first == "" {
		return s.first
	}
	return first
}

// signer returns the private key of a verifier; the error is [ErrOtherKey] where this server does not have it.
func (s *Sequencer) signer(v ledger.Verifier) (*ledger.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.keys[v]; key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("sign for the log %s: %w: %s", s.Origin(), ErrOtherKey, v)
}

// Rekey replaces the log's current server key by next, which the caller keeps durably. It does nothing where next is the
// current key already. The error wraps [ErrRecovering] where nothing may be written.
func (s *Sequencer) Rekey(ctx context.Context, next *ledger.SigningKey, at time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.mayWrite(); err != nil {
		return err
	}
	old, err := s.signer(s.ServerKey())
	if err != nil || old.Verifier() == next.Verifier() {
		return err
	}
	s.mu.Lock()
	s.keys[next.Verifier()] = next
	s.mu.Unlock()
	return s.append(ctx, at, ledger.Rekeyed{OldKey: old.Verifier(), NewKey: next.Verifier()})
}
