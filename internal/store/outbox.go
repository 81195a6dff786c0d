package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

// waiting is a receipt that the log does not hold yet.
type waiting struct {
	sequence int64 // order in which they were made
	key      ledger.Verifier
	leaf     []byte
	body     ledger.Body
	receipt  ledger.Receipt
}

func newWaiting(sequence int64, key ledger.Verifier, leaf []byte) (waiting, error) {
	e, err := ledger.ParseEntry(leaf)
	if err != nil {
		return waiting{}, err
	}
	receipt, ok := ledger.ReceiptOf(e.Body)
	if !ok {
		return waiting{}, fmt.Errorf("%s is not a receipt", e.Body.Kind())
	}
	return waiting{sequence, key, leaf, e.Body, receipt}, nil
}

func (w waiting) write(tx *badger.Txn, id ledgerID) error {
	return tx.Set(id.key(tableWaiting, w.sequence), w.value())
}

func (w waiting) value() []byte { return append(append([]byte(w.key), '\n'), w.leaf...) }

func (l *Ledger) readWaiting(tx *badger.Txn) (all []waiting, err error) {
	err = each(tx, l.id.key(tableWaiting), func(key, value []byte) error {
		verifier, leaf, _ := bytes.Cut(value, []byte{'\n'})
		w, err := newWaiting(lastNumber(key), ledger.Verifier(verifier), leaf)
		if err != nil {
			return damaged(l.origin, "a receipt that waits is unreadable: %v", err)
		}
		all = append(all, w)
		return nil
	})
	return all, err
}

// chainAfter returns the end of the chain of the current agent's key, once all that waits is in the log.
func chainAfter(log *ledger.Log, all []waiting) ledger.Chain {
	chain := log.Chains[log.AgentKey]
	for _, w := range all {
		if w.key == log.AgentKey && w.receipt.Number > chain.Number {
			chain = ledger.Chain{Number: w.receipt.Number, Last: sha256.Sum256(w.leaf)}
		}
	}
	return chain
}

// Enqueue makes a receipt, keeps it until the log holds it, and returns it when it is durable. build is given its number
// and the hash of the receipt before it, and signs it with the current agent's key; it must call no method of the
// ledger that changes it. The receipt is checked as if all that waits were in the log: the error wraps the
// [*ledger.RefusedError]. It returns [ErrNoAgent] where no agent is assigned, and [ErrPrepared] where an earlier receipt
// is not resolved.
func (l *Ledger) Enqueue(build func(number int64, previous tlog.Hash) ([]byte, error)) ([]byte, error) {
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
	if err := l.update("enqueue", func(tx *badger.Txn) error { return w.write(tx, l.id) }); err != nil {
		return nil, err
	}
	l.publish(func(s *snapshot) { s.waiting = append(slices.Clip(s.waiting), w) })
	return w.leaf, nil
}

// next builds and checks the receipt that follows those in all.
func (l *Ledger) next(log *ledger.Log, all []waiting, build func(int64, tlog.Hash) ([]byte, error)) (waiting, error) {
	if log.AgentKey == "" {
		return waiting{}, fmt.Errorf("ledger %s: make a receipt: %w", l.origin, ErrNoAgent)
	}
	chain := chainAfter(log, all)
	leaf, err := build(chain.Number+1, chain.Last)
	if err != nil {
		return waiting{}, err
	}
	ahead := *log
	ahead.Chains = map[ledger.Verifier]ledger.Chain{log.AgentKey: chain}
	ahead.Awaiting = 0 // what the log holds next comes before this receipt
	if _, err := ahead.Check(leaf); err != nil {
		return waiting{}, fmt.Errorf("ledger %s: make receipt %d: %w", l.origin, chain.Number+1, err)
	}
	sequence := int64(1)
	if len(all) > 0 {
		sequence = all[len(all)-1].sequence + 1
	}
	w, err := newWaiting(sequence, log.AgentKey, leaf)
	if err != nil {
		return waiting{}, fmt.Errorf("ledger %s: make receipt %d: %w", l.origin, chain.Number+1, err)
	}
	return w, nil
}

// Outbox returns the receipts that wait, in the order in which they were made. They must not be changed.
func (l *Ledger) Outbox() ([][]byte, error) {
	all := l.state.Load().waiting
	leaves := make([][]byte, len(all))
	for i, w := range all {
		leaves[i] = w.leaf
	}
	return leaves, nil
}

// OutboxLen returns the number of receipts that wait.
func (l *Ledger) OutboxLen() int { return len(l.state.Load().waiting) }

// OutboxDelivered returns the indexes of manifest n that a waiting delivered is about.
func (l *Ledger) OutboxDelivered(n int64) ledger.Set {
	var set ledger.Set
	for _, w := range l.state.Load().waiting {
		if w.body.Kind() == ledger.KindDelivered && w.receipt.Manifest == n {
			set = set.Union(w.receipt.Indexes)
		}
	}
	return set
}

// DropOutbox removes all receipts that wait.
func (l *Ledger) DropOutbox() error {
	l.writer.Lock()
	defer l.writer.Unlock()
	s := l.state.Load()
	if len(s.waiting) == 0 {
		return nil
	}
	err := l.update("drop receipts", func(tx *badger.Txn) error {
		for _, w := range s.waiting {
			if err := tx.Delete(l.id.key(tableWaiting, w.sequence)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		l.publish(func(s *snapshot) { s.waiting = nil })
	}
	return err
}

// RenewOutbox replaces every receipt that waits, all in one transaction, as is due after the server found that the
// chain of receipts has forked or another key was assigned: build is given each in turn with its new number and the
// hash before it, and returns it signed again, or nil to drop it. It is as bound as the function of [Ledger.Enqueue].
func (l *Ledger) RenewOutbox(build func(old []byte, number int64, previous tlog.Hash) ([]byte, error)) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	s := l.state.Load()
	if len(s.waiting) == 0 {
		return nil
	}
	if err := l.checkResolved(); err != nil {
		return err
	}
	var renewed []waiting
	for _, w := range s.waiting {
		next, err := l.next(s.log, renewed, func(number int64, previous tlog.Hash) ([]byte, error) {
			leaf, err := build(w.leaf, number, previous)
			if leaf == nil && err == nil {
				err = errDropped
			}
			return leaf, err
		})
		if errors.Is(err, errDropped) {
			continue
		}
		if err != nil {
			return err
		}
		renewed = append(renewed, next)
	}
	err := l.update("renew receipts", func(tx *badger.Txn) error {
		for _, w := range s.waiting {
			if err := tx.Delete(l.id.key(tableWaiting, w.sequence)); err != nil {
				return err
			}
		}
		for _, w := range renewed {
			if err := w.write(tx, l.id); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		l.publish(func(s *snapshot) { s.waiting = renewed })
	}
	return err
}

var errDropped = errors.New("dropped")
