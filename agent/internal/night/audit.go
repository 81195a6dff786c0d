package night

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

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
// nothing is signed before a second audit found the same; where a move was not finished, before a person says so.
func (n *Night) audit(ctx context.Context, place *dest.Place, cause error) error {
	n.logWarn(ctx, "auditing the destination", cause)
	moving, err := place.Moving(ctx)
	if err != nil {
		return n.atPlace(err)
	}
	found, total, err := n.findLosses(ctx, place, func(Moving) {})
	if err != nil {
		return fmt.Errorf("audit the destination because %w: %w", cause, err)
	}
	lost := lossCount(found)
	if !n.maySign(found, lost, total, moving) {
		next := "the next pass decides, or `wolkvox-agent destination accept-losses " + n.Name + "`"
		if moving {
			next = fmt.Sprintf("the move to it was not finished: run `wolkvox-agent destination move %s` again, or accept it with `wolkvox-agent destination accept-losses %s`",
				n.Name, n.Name)
		}
		return fmt.Errorf("%w: %d of %d confirmed recordings are not there as they were; nothing was signed: make sure that it is the right place; %s",
			cause, lost, total, next)
	}
	return n.signLosses(ctx, place, found)
}

func lossCount(found map[int64]losses) (lost int64) {
	for _, l := range found {
		lost += l.len()
	}
	return lost
}

// signLosses signs what an audit found, and trusts the place again when that is in the log.
func (n *Night) signLosses(ctx context.Context, place *dest.Place, found map[int64]losses) error {
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
	if err := n.send(ctx); err != nil {
		return err
	}
	n.settleSuspicion()
	if err := n.renewMarks(ctx, place); err != nil {
		return err
	}
	if err := place.Locate(ctx); err != nil {
		return n.atPlace(err)
	}
	return n.atPlace(place.Settled(ctx))
}

// renewMarks makes what stands beside the marker what log and outbox say. A kept head that is later than the last one
// agreed stays, and one that makes no sense is set aside.
func (n *Night) renewMarks(ctx context.Context, place *dest.Place) error {
	n.receipts.Lock()
	defer n.receipts.Unlock()
	if last, any, err := n.lastDelivered(); err != nil {
		return err
	} else if any {
		if err := place.WriteOwn(ctx, dest.LastDelivered, formatMark(last)); err != nil {
			return err
		}
	} else if err := place.SetAsideOwn(ctx, dest.LastDelivered, "unknown"); err != nil {
		return err
	}
	switch err := n.checkKeptHead(ctx, place); {
	case !errors.Is(err, errWentBack):
		return err
	case n.Log.Agreed() != nil:
		return place.WriteOwn(ctx, dest.Head, n.Log.Agreed())
	}
	return place.SetAsideOwn(ctx, dest.Head, "unreadable")
}

// findLosses reads everything that should be at the destination and returns, per manifest, what is not as it should
// be, and how much was looked at. An item that cannot be read at the moment is an error: unreachable is not missing. watch is
// called with how far it has come.
func (n *Night) findLosses(ctx context.Context, place *dest.Place, watch func(Moving)) (map[int64]losses, int64, error) {
	all, wanted, err := n.held()
	if err != nil {
		return nil, 0, err
	}
	so := Moving{Wanted: wanted}
	watch(so)
	found := make(map[int64]losses)
	for _, manifest := range slices.Sorted(maps.Keys(all)) {
		l, err := n.lossesOf(ctx, place, manifest, all[manifest], func(looked, lost int64) {
			so.Audited += looked
			so.Lost += lost
			watch(so)
		})
		if err != nil {
			return nil, 0, err
		}
		if l.len() > 0 {
			found[manifest] = l
		}
	}
	return found, wanted, nil
}

// held returns what should be at the destination, per manifest, and how much that is: all that is confirmed, or about to be.
func (n *Night) held() (all map[int64]ledger.Set, items int64, err error) {
	var last int64
	n.Log.View(func(log *ledger.Log) { last = int64(len(log.Manifests)) })
	all = make(map[int64]ledger.Set)
	for manifest := int64(1); manifest <= last; manifest++ {
		held, err := n.heldOf(manifest)
		if err != nil {
			return nil, 0, err
		}
		if !held.IsEmpty() {
			all[manifest] = held
			items += held.Len()
		}
	}
	return all, items, nil
}

// heldOf is held for one manifest.
func (n *Night) heldOf(manifest int64) (ledger.Set, error) {
	// The outbox first: a receipt goes from there into the log.
	signed := n.Log.OutboxDelivered(manifest)
	confirmed, err := n.Log.Items(manifest, backup.Confirmed)
	return confirmed.Union(signed), err
}

// lossesOf calls looked with how many items it has looked at since it last did, and how many of them are lost.
func (n *Night) lossesOf(ctx context.Context, place *dest.Place, manifest int64, held ledger.Set, looked func(items, lost int64)) (losses, error) {
	var missing, altered []ledger.Range
	var before int64
	err := n.eachItem(manifest, held, func(items lookup) error {
		found, err := place.Hash(ctx, items.names)
		if err != nil {
			return n.atPlace(err)
		}
		for i, f := range found {
			here := ledger.Range{First: items.indexes[i], Last: items.indexes[i]}
			switch {
			case errors.Is(f.Err, fs.ErrNotExist):
				missing = append(missing, here)
			case errors.Is(f.Err, dest.ErrConflict), f.Err == nil && f.Digest != items.wanted[i]:
				altered = append(altered, here)
			case f.Err != nil:
				return n.atPlace(f.Err)
			}
		}
		lost := int64(len(missing) + len(altered))
		looked(int64(len(found)), lost-before)
		before = lost
		return nil
	})
	if err != nil {
		return losses{}, err
	}
	return losses{ledger.NewSet(missing...), ledger.NewSet(altered...)}, nil
}

// lookup is a number of items to look at together.
type lookup struct {
	indexes []int64
	names   []string
	wanted  []backup.Digest
}

// eachItem calls look with those items of a manifest that are in set, some at a time, those that are forgotten left out.
func (n *Night) eachItem(manifest int64, set ledger.Set, look func(lookup) error) error {
	if set.IsEmpty() {
		return nil
	}
	var items lookup
	index := set.Ranges()[0].First
	for line, err := range n.Log.Lines(manifest, index) {
		if err != nil {
			return err
		}
		if set.Contains(index) && !line.Forgotten {
			items.indexes, items.names, items.wanted = append(items.indexes, index), append(items.names, line.Item.Path), append(items.wanted, line.Item.Digest)
			if len(items.names) == auditItems {
				if err := look(items); err != nil {
					return err
				}
				items = lookup{}
			}
		}
		if index++; index > set.Max() {
			break
		}
	}
	if len(items.names) == 0 {
		return nil
	}
	return look(items)
}
