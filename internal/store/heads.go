package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// PutHead keeps a head with the signature of the log's current server key, unless a greater one is held. The head may be
// ahead of the entries; one that is not must have their root, otherwise [ErrOtherHistory].
func (l *Ledger) PutHead(note []byte) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	s := l.state.Load()
	h, err := ledger.OpenHead(note, s.log.ServerKey)
	if err != nil {
		return fmt.Errorf("ledger %s: put a head: %w", l.origin, err)
	}
	return l.putHead(h, note, s.head, tableHead, func(s *snapshot, note []byte) { s.head = note })
}

// Head returns the head held, nil where there is none. It must not be changed.
func (l *Ledger) Head() []byte { return l.state.Load().head }

// PutAgreed is [Ledger.PutAgreedBy] with the log's current server key and the agent's key last assigned.
func (l *Ledger) PutAgreed(note []byte) error {
	log := l.state.Load().log
	return l.PutAgreedBy(note, log.ServerKey, log.AgentKey)
}

// PutAgreedBy keeps an agreed head with the signatures of these keys, of which the caller knows that they are current after
// the head's entries, unless a greater one is held. Its entries must be here ([ErrNotFound]) and have its root
// ([ErrOtherHistory]).
func (l *Ledger) PutAgreedBy(note []byte, server, agent ledger.Verifier) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	s := l.state.Load()
	h, _, err := ledger.OpenAgreedHead(note, server, agent)
	if err == nil && h.Size > s.log.Size {
		err = fmt.Errorf("its size is %d, the ledger's %d: %w", h.Size, s.log.Size, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("ledger %s: put an agreed head: %w", l.origin, err)
	}
	return l.putHead(h, note, s.agreed, tableAgreed, func(s *snapshot, note []byte) { s.agreed = note })
}

// Agreed returns the agreed head held, nil where there is none. It must not be changed.
func (l *Ledger) Agreed() []byte { return l.state.Load().agreed }

func (l *Ledger) putHead(h ledger.Head, note, held []byte, t table, keep func(*snapshot, []byte)) error {
	if h.Origin != l.origin {
		return fmt.Errorf("ledger %s: put a head of %s: %w", l.origin, h.Origin, ErrOtherHistory)
	}
	if root, err := l.RootAt(h.Size); err == nil && root != h.Root {
		return fmt.Errorf("ledger %s: put a head of size %d with the root %x, here it is %x: %w",
			l.origin, h.Size, h.Root[:], root[:], ErrOtherHistory)
	} else if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if before, _, err := ledger.ParseHead(held); err == nil && before.Size > h.Size || bytes.Equal(held, note) {
		return nil
	}
	note = bytes.Clone(note)
	err := l.update("put a head", func(tx *badger.Txn) error { return tx.Set(l.id.key(t), note) })
	if err == nil {
		l.publish(func(s *snapshot) { keep(s, note) })
	}
	return err
}
