package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

// ErrPrepared says that an earlier receipt is still half-way into the outbox, see [Ledger.ResolvePrepared].
var ErrPrepared = errors.New("an earlier receipt was announced and is not resolved yet")

// EnqueueDelivered is [Ledger.Enqueue] of a receipt that is announced elsewhere before it waits. It is durable here as
// prepared, then announce is called with it, then it waits. If announce fails, or the process ends meanwhile, the receipt
// stays prepared and the next is refused with [ErrPrepared] until [Ledger.ResolvePrepared].
func (l *Ledger) EnqueueDelivered(build func(number int64, previous tlog.Hash) ([]byte, error), announce func(leaf []byte) error) ([]byte, error) {
	l.writer.Lock()
	defer l.writer.Unlock()
	if err := l.checkResolved(); err != nil {
		return nil, err
	}
	s := l.state.Load()
	w, err := l.next(s.log, s.waiting, build)
	if err != nil {
		return nil, err
	}
	if err := l.update("prepare", func(tx *badger.Txn) error { return tx.Set(l.id.key(tablePrepared), w.value()) }); err != nil {
		return nil, err
	}
	if err := announce(w.leaf); err != nil {
		return nil, fmt.Errorf("announce receipt %d: %w", w.receipt.Number, err)
	}
	return w.leaf, l.enqueuePrepared(w)
}

// checkResolved returns ErrPrepared where a receipt is half-way into the outbox: its number is taken. l.writer is held.
func (l *Ledger) checkResolved() error {
	w, err := l.prepared()
	if err == nil && w != nil {
		err = fmt.Errorf("ledger %s: make a receipt: %w", l.origin, ErrPrepared)
	}
	return err
}

// Prepared returns the receipt that is half-way into the outbox, nil where there is none.
func (l *Ledger) Prepared() ([]byte, error) {
	w, err := l.prepared()
	if err != nil || w == nil {
		return nil, err
	}
	return w.leaf, nil
}

// ResolvePrepared ends what [Ledger.EnqueueDelivered] began: a receipt that was announced waits from now on, one that was
// not is forgotten. Without a prepared receipt nothing is done.
func (l *Ledger) ResolvePrepared(announced bool) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	w, err := l.prepared()
	if err != nil || w == nil {
		return err
	}
	if announced {
		return l.enqueuePrepared(*w)
	}
	return l.update("forget prepared", func(tx *badger.Txn) error { return tx.Delete(l.id.key(tablePrepared)) })
}

// enqueuePrepared makes the prepared receipt one that waits. l.writer is held.
func (l *Ledger) enqueuePrepared(w waiting) error {
	w.sequence = 1
	if all := l.state.Load().waiting; len(all) > 0 {
		w.sequence = all[len(all)-1].sequence + 1
	}
	err := l.update("enqueue", func(tx *badger.Txn) error {
		if err := tx.Delete(l.id.key(tablePrepared)); err != nil {
			return err
		}
		return w.write(tx, l.id)
	})
	if err != nil {
		return err
	}
	l.publish(func(s *snapshot) { s.waiting = append(s.waiting[:len(s.waiting):len(s.waiting)], w) })
	return nil
}

func (l *Ledger) prepared() (*waiting, error) {
	var value []byte
	err := l.db.view(func(tx *badger.Txn) (err error) {
		value, err = read(tx, l.id.key(tablePrepared))
		return err
	})
	if err != nil || value == nil {
		return nil, err
	}
	verifier, leaf, _ := bytes.Cut(value, []byte{'\n'})
	w, err := newWaiting(0, ledger.Verifier(verifier), leaf)
	if err != nil {
		return nil, damaged(l.origin, "the prepared receipt is unreadable: %v", err)
	}
	return &w, nil
}
