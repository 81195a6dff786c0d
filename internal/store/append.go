package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

// Append adds entries to the log, all of them or none, in one transaction with their hashes, the states that they
// change, and the removal of the waiting receipts that they are. Each is checked in the state after the one before
// it; the error for one that is refused wraps the [*ledger.RefusedError]. A sealed whose manifest was not staged
// and complete with equal root, items and bytes is refused with [ErrNoManifest]. [ErrTooLarge] says that fewer have to
// be appended at once, see [MaxAppendBytes]. The leaves must not be changed afterwards.
func (l *Ledger) Append(leaves ...[]byte) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	if len(leaves) == 0 {
		return nil
	}
	return l.append(l.state.Load(), leaves, nil)
}

// AppendTo is [Ledger.Append] of entries that another party sent together with a head of the log after them. They are kept,
// and the head with them, only if they lead to it: it must carry the signature of the key that is then the server's,
// and size and root must be those of the log then, otherwise [ErrOtherHistory]. Without entries only the head is kept.
func (l *Ledger) AppendTo(head []byte, leaves ...[]byte) error {
	if len(leaves) == 0 {
		return l.PutHead(head)
	}
	l.writer.Lock()
	defer l.writer.Unlock()
	head = bytes.Clone(head)
	return l.append(l.state.Load(), leaves, func(tx *badger.Txn, after *snapshot) error {
		h, err := ledger.OpenHead(head, after.log.ServerKey)
		if err != nil {
			return err
		}
		if h.Origin != l.origin || h.Size != after.log.Size || h.Root != after.root {
			return fmt.Errorf("the entries lead to size %d and root %x, the head says %d and %x: %w",
				after.log.Size, after.root[:], h.Size, h.Root[:], ErrOtherHistory)
		}
		after.head = head
		return tx.Set(l.id.key(tableHead), head)
	})
}

// append commits entries; accept, where it is not nil, may refuse what they lead to.
func (l *Ledger) append(before *snapshot, leaves [][]byte, accept func(tx *badger.Txn, after *snapshot) error) error {
	var b *batch
	err := l.update("append", func(tx *badger.Txn) error {
		b = l.newBatch(tx, before)
		for _, leaf := range leaves {
			at := b.after.log.Size
			if err := b.add(leaf); err != nil {
				return fmt.Errorf("append entry %d: %w", at, err)
			}
		}
		if err := b.write(); err != nil || accept == nil {
			return err
		}
		return accept(tx, b.after)
	})
	if err != nil {
		return err
	}
	for n, st := range b.states {
		l.db.cache.put(stateKey{l.id, n}, st)
	}
	l.state.Store(b.after)
	l.announce()
	for _, a := range b.alarms {
		l.db.logger.LogAttrs(context.Background(), slog.LevelWarn, "counts in a closed entry differ from the fold",
			slog.String("origin", string(l.origin)), slog.Int64("entry", a.Entry), slog.Int64("manifest", a.Manifest))
	}
	return nil
}

// batch is one append in the making.
type batch struct {
	l      *Ledger
	tx     *badger.Txn
	before *snapshot
	after  *snapshot
	hashes *hashReader
	loaded map[int64]*itemStates // as they were before, of the manifests that the entries are about
	states map[int64]*itemStates // as they are after, of these and of those sealed
	alarms []ledger.Alarm
}

func (l *Ledger) newBatch(tx *badger.Txn, before *snapshot) *batch {
	after := *before
	after.log = before.log.Clone()
	after.counts = slices.Clone(before.counts)
	after.waiting = slices.Clone(before.waiting)
	return &batch{
		l: l, tx: tx, before: before, after: &after,
		hashes: &hashReader{tx, l.id, map[int64][]tlog.Hash{}},
		loaded: map[int64]*itemStates{}, states: map[int64]*itemStates{},
	}
}

// add checks an entry, applies it, and sets its records.
func (b *batch) add(leaf []byte) error {
	log, at := b.after.log, b.after.log.Size
	e, err := log.Check(leaf)
	if err != nil {
		return err
	}
	if e.Origin != b.l.origin {
		return &ledger.RefusedError{Reason: ledger.ReasonOrigin, Detail: fmt.Sprintf("the entry is of the log %s, not of %s", e.Origin, b.l.origin)}
	}
	if err := b.fold(e, at); err != nil {
		return err
	}
	log.Apply(leaf, e)
	if err := b.hashes.add(at, leaf); err != nil {
		return err
	}
	if e.Body.Kind().IsReceipt() {
		if err := b.arrived(leaf); err != nil {
			return err
		}
	}
	if err := b.tx.Set(b.l.id.key(tableEntries, at), leaf); err != nil {
		return err
	}
	return b.tx.Set(b.l.id.key(tableHashes, at), encodeHashes(b.hashes.fresh[at]))
}

// fold changes the states of the items that the entry is about. The log is still as before the entry.
func (b *batch) fold(e ledger.Entry, at int64) error {
	if sealed, ok := e.Body.(ledger.Sealed); ok {
		if err := b.l.unstage(b.tx, sealed); err != nil {
			return err
		}
		b.set(sealed.Manifest, pendingStates(sealed.Items))
		return nil
	}
	n, _, ok := ledger.ManifestOf(e.Body)
	if !ok {
		return nil
	}
	st, ok := b.states[n]
	if !ok {
		var err error
		if st, err = b.l.states(b.before, n); err != nil {
			return err
		}
		b.loaded[n] = st
	}
	b.set(n, st.fold(e, b.after.log.Manifests[n-1].Open))
	if closed, ok := e.Body.(ledger.Closed); ok && closed.Counts != b.after.counts[n-1] {
		b.alarms = append(b.alarms, ledger.Alarm{
			Code: ledger.AlarmCounts, Entry: at, Manifest: n, Said: closed.Counts, Folded: b.after.counts[n-1],
		})
	}
	return nil
}

// fold returns the states after an entry that names their manifest.
func (st *itemStates) fold(e ledger.Entry, open bool) *itemStates {
	var about *roaring.Bitmap
	if indexes, ok := ledger.IndexesOf(e.Body); ok {
		about = bitmapOf(indexes)
	}
	return st.apply(e.Body.Kind(), open, about)
}

func (b *batch) set(n int64, st *itemStates) {
	b.states[n] = st
	counts, after := st.counts(), b.after
	if n > int64(len(after.counts)) {
		after.counts = append(after.counts, ledger.Counts{})
	}
	for s := range counts {
		after.total[s] += counts[s] - after.counts[n-1][s]
	}
	after.counts[n-1] = counts
}

// arrived removes a receipt that the log now holds from those that wait.
func (b *batch) arrived(leaf []byte) error {
	for i, w := range b.after.waiting {
		if bytes.Equal(w.leaf, leaf) {
			b.after.waiting = slices.Delete(b.after.waiting, i, i+1)
			return b.tx.Delete(b.l.id.key(tableWaiting, w.sequence))
		}
	}
	return nil
}

// write sets the records that the entries changed together.
func (b *batch) write() error {
	log := b.after.log
	var err error
	if b.after.root, err = b.hashes.root(log.Size); err != nil {
		return err
	}
	for n, st := range b.states {
		if err := st.write(b.tx, b.l.id, n, b.loaded[n]); err != nil {
			return err
		}
		record := manifestRecord{sealedRecord(log.Manifests[n-1]), b.after.counts[n-1]}
		if err := set(b.tx, b.l.id.key(tableManifest, n), record); err != nil {
			return err
		}
	}
	return set(b.tx, b.l.id.key(tableLog), newLogRecord(log, b.after.root))
}
