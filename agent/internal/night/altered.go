package night

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/ledger"
)

// moveAltered moves aside what an audit found in the place of recordings that are pending again, so that they can be copied
// there; where the client does not want that it is left as it is, and in the way. What to do follows from the log, so that a
// crash in between changes nothing. It is called while no batch is under way.
func (n *Night) moveAltered(ctx context.Context, place *dest.Place) error {
	if !n.Repair {
		return nil
	}
	due, err := n.alteredUnseen()
	if err != nil || len(due) == 0 {
		return err
	}
	for _, manifest := range slices.Sorted(maps.Keys(due)) {
		err := n.eachItem(manifest, due[manifest], func(items lookup) error { return n.makeWay(ctx, place, manifest, items) })
		if err != nil {
			return fmt.Errorf("move aside what was altered of manifest %d: %w", manifest, err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for manifest, items := range due {
		n.altered[manifest] = n.altered[manifest].Difference(items)
	}
	return nil
}

// alteredUnseen returns the items that are pending because they were altered, that no receipt waits for, and that were not
// looked at since, in this process.
func (n *Night) alteredUnseen() (map[int64]ledger.Set, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.scan(); err != nil {
		return nil, err
	}
	due := make(map[int64]ledger.Set)
	for manifest, items := range n.altered {
		signed := n.Log.OutboxDelivered(manifest)
		states, err := n.Log.States(manifest)
		if err != nil {
			return nil, err
		}
		if pending := states.Among(items, backup.Pending).Difference(signed); !pending.IsEmpty() {
			due[manifest] = pending
		} else {
			delete(n.altered, manifest)
		}
	}
	return due, nil
}

// makeWay moves aside those files that are not what the items are.
func (n *Night) makeWay(ctx context.Context, place *dest.Place, manifest int64, items lookup) error {
	found, err := place.Examine(ctx, items.names, true)
	if err != nil {
		return n.atPlace(err)
	}
	for i, f := range found {
		if f.Err != nil || f.Digest == items.wanted[i] {
			continue // absent, no file, or not to be read: what cannot be copied there is named by the pass
		}
		to, err := place.MoveAside(ctx, f.Name, fmt.Sprintf("altered-%d-%d", manifest, items.indexes[i]))
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported), errors.Is(err, dest.ErrConflict):
		case err != nil:
			return n.atPlace(err)
		default:
			n.Slog.LogAttrs(ctx, slog.LevelInfo, "what was altered was moved aside", slog.String("name", f.Name), slog.String("to", to))
		}
	}
	return nil
}
