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

// signer returns the private key of a verifier; the error is [ErrOtherKey] where this server does not have it.
func (s *Sequencer) signer(v ledger.Verifier) (*ledger.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.keys[v]; key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("sign for the log %s: %w: %s", s.Origin(), ErrOtherKey, v)
}

// serverKeys returns the keys by which the server may have signed heads of this log: those that it has, and those that the log
// names.
func (s *Sequencer) serverKeys() (keys []ledger.Verifier, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.readHistory()
	if err != nil {
		return nil, err
	}
	for key := range s.keys {
		keys = append(keys, key)
	}
	for _, k := range h.server {
		if s.keys[k.key] == nil {
			keys = append(keys, k.key)
		}
	}
	return keys, nil
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
