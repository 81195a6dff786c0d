package night

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/ledger"
)

// auditItems is how many items an audit looks at together.
const auditItems = 2048

// losses are items of one manifest that an audit did not find as they should be.
type losses struct{ missing, altered ledger.Set }

func (l losses) len() int64 { return l.missing.Len() + l.altered.Len() }

func (l losses) equal(m losses) bool { return l.missing.Equal(m.missing) && l.altered.Equal(m.altered) }

// audit compares everything that is confirmed, or about to be, with what the destination holds, because of cause. What
// is gone is signed as lost, and only when that is in the log is the place trusted again. If more than 1 % is gone,
// nothing is signed before a second audit found the same.
func (n *Night) audit(ctx context.Context, place *dest.Place, cause error) error {
	n.logWarn(ctx, "auditing the destination", cause)
	found, total, err := n.findLosses(ctx, place)
	if err != nil {
		return fmt.Errorf("audit the destination because %w: %w", cause, err)
	}
	var lost int64
	for _, l := range found {
		lost += l.len()
	}
	if lost*100 > total && !n.confirmsSuspicion(found) {
		return fmt.Errorf("%w: %d of %d confirmed recordings are not there as they were; nothing was signed: "+
			"make sure that it is the right place, the next pass will decide", cause, lost, total)
	}
	for manifest, l := range found {
		for part := range parts(l.missing) {
			if err := n.signLost(manifest, part, ledger.LostMissing); err != nil {
				return err
			}
		}
		for part := range parts(l.altered) {
			if err := n.signLost(manifest, part, ledger.LostAltered); err != nil {
				return err
			}
		}
	}
	if err := n.deliver(ctx); err != nil {
		return err
	}
	return n.renewMarks(ctx, place)
}

// confirmsSuspicion keeps what was found for the next audit and reports whether the one before found the same.
func (n *Night) confirmsSuspicion(found map[int64]losses) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	same := maps.EqualFunc(n.suspect, found, losses.equal)
	n.suspect = found
	return same
}

func (n *Night) renewMarks(ctx context.Context, place *dest.Place) error {
	n.receipts.Lock()
	defer n.receipts.Unlock()
	if last, any, err := n.lastDelivered(); err != nil {
		return err
	} else if any {
		if err := place.WriteOwn(ctx, dest.LastDelivered, formatMark(last)); err != nil {
			return err
		}
	}
	if agreed := n.Log.Agreed(); agreed != nil {
		return place.WriteOwn(ctx, dest.Head, agreed)
	}
	return nil
}

// findLosses reads everything that should be at the destination and returns, per manifest, what is not as it should
// be, and how much was looked at. An item that cannot be read at the moment is an error: unreachable is not missing.
func (n *Night) findLosses(ctx context.Context, place *dest.Place) (map[int64]losses, int64, error) {
	var last int64
	n.Log.View(func(log *ledger.Log) { last = int64(len(log.Manifests)) })
	found := make(map[int64]losses)
	var total int64
	for manifest := int64(1); manifest <= last; manifest++ {
		confirmed, err := n.Log.Items(manifest, backup.Confirmed)
		if err != nil {
			return nil, 0, err
		}
		held := confirmed.Union(n.Log.OutboxDelivered(manifest))
		if held.IsEmpty() {
			continue
		}
		total += held.Len()
		l, err := n.lossesOf(ctx, place, manifest, held)
		if err != nil {
			return nil, 0, err
		}
		if l.len() > 0 {
			found[manifest] = l
		}
	}
	return found, total, nil
}

func (n *Night) lossesOf(ctx context.Context, place *dest.Place, manifest int64, held ledger.Set) (losses, error) {
	var missing, altered []ledger.Range
	var indexes []int64
	var names []string
	var wanted []backup.Digest
	look := func() error {
		found, err := place.Hash(ctx, names)
		if err != nil {
			return err
		}
		for i, f := range found {
			here := ledger.Range{First: indexes[i], Last: indexes[i]}
			switch {
			case errors.Is(f.Err, fs.ErrNotExist):
				missing = append(missing, here)
			case errors.Is(f.Err, dest.ErrConflict), f.Err == nil && f.Digest != wanted[i]:
				altered = append(altered, here)
			case f.Err != nil:
				return f.Err
			}
		}
		indexes, names, wanted = indexes[:0], names[:0], wanted[:0]
		return nil
	}
	index := held.Ranges()[0].First
	for line, err := range n.Log.Lines(manifest, index) {
		if err != nil {
			return losses{}, err
		}
		if held.Contains(index) && !line.Forgotten {
			indexes, names, wanted = append(indexes, index), append(names, line.Item.Path), append(wanted, line.Item.Digest)
			if len(names) == auditItems {
				if err := look(); err != nil {
					return losses{}, err
				}
			}
		}
		if index++; index > held.Max() {
			break
		}
	}
	if err := look(); err != nil {
		return losses{}, err
	}
	return losses{ledger.NewSet(missing...), ledger.NewSet(altered...)}, nil
}
