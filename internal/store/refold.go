package store

import (
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// Refold throws the states of all items and their counts away and folds them again from the entries, which it
// checks. No change happens meanwhile. If it is interrupted, some manifests have their new states and others their old
// ones: fold again.
func (l *Ledger) Refold(ctx context.Context) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	before := l.state.Load()
	log, states, err := l.foldFirst(ctx, before.log.Size)
	if err != nil {
		return fmt.Errorf("ledger %s: fold again: %w", l.origin, err)
	}
	counts := make([]ledger.Counts, len(states))
	var total ledger.Counts
	for i, st := range states {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("ledger %s: fold again: %w", l.origin, err)
		}
		n := int64(i) + 1
		counts[i] = st.counts()
		total = total.Add(counts[i])
		record := manifestRecord{sealedRecord(log.Manifests[i]), counts[i]}
		err := l.update("fold again", func(tx *badger.Txn) error {
			if err := st.write(tx, l.id, n, nil); err != nil {
				return err
			}
			return set(tx, l.id.key(tableManifest, n), record)
		})
		if err != nil {
			return err
		}
		l.db.cache.put(stateKey{l.id, n}, st)
	}
	l.publish(func(s *snapshot) { s.log, s.counts, s.total = log, counts, total })
	return nil
}

// foldFirst folds the first size entries, which it checks: the structural state after them, and the states of the items of
// manifest n at n-1.
func (l *Ledger) foldFirst(ctx context.Context, size int64) (*ledger.Log, []*itemStates, error) {
	log := &ledger.Log{}
	var states []*itemStates
	for log.Size < size {
		leaves, err := l.readEntries(log.Size, size)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, nil, err
		}
		for _, leaf := range leaves {
			e, err := log.Check(leaf)
			if err != nil {
				return nil, nil, damaged(l.origin, "entry %d: %v", log.Size, err)
			}
			if sealed, ok := e.Body.(ledger.Sealed); ok {
				states = append(states, pendingStates(sealed.Items))
			} else if n, _, ok := ledger.ManifestOf(e.Body); ok {
				states[n-1] = states[n-1].fold(e, log.Manifests[n-1].Open)
			}
			log.Apply(leaf, e)
		}
	}
	return log, states, nil
}
