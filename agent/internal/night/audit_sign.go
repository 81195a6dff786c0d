package night

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/ledger"
)

// sign looks a second time at what the audit found lost and signs for what still is, while no pass runs. It returns how much of
// what was found is not confirmed any more, and how much is as it should be. A place that went back is audited as a whole first,
// as each pass does.
func (a *auditor) sign(ctx context.Context) (signed, recovered int64, err error) {
	n := a.night
	err = n.between(ctx, func(ctx context.Context) error {
		if err := n.resume(ctx); err != nil {
			return err
		}
		place, err := n.openPlace(ctx)
		if err != nil {
			return err
		}
		defer place.Close()
		found, released, err := a.again(ctx, place, &recovered)
		if err != nil {
			return err
		}
		if lost := lossCount(found); lost > 0 && !n.maySign(found, lost, a.looked(), false) {
			return fmt.Errorf("%d of %d: %w", lost, a.looked(), ErrMassLoss)
		}
		return n.signFound(ctx, found, released)
	})
	if err != nil {
		return 0, recovered, err
	}
	for manifest, l := range a.lost {
		held, err := n.heldOf(manifest)
		if err != nil {
			return 0, recovered, err
		}
		signed += ledger.NewSet(slices.Concat(l.missing, l.altered)...).Difference(held).Len()
	}
	return signed, recovered, nil
}

// looked returns how many recordings what is lost is a part of: of a slice, those of that slice.
func (a *auditor) looked() int64 {
	if a.budget > 0 {
		return a.position.Counts.Looked - a.began.Counts.Looked
	}
	return a.position.Counts.Looked
}

// again looks at what was found lost, or gone by the client's retention, once more.
func (a *auditor) again(ctx context.Context, place *dest.Place, recovered *int64) (found map[int64]losses, released map[int64]ledger.Set, err error) {
	n := a.night
	found, released = make(map[int64]losses), make(map[int64]ledger.Set)
	for _, manifest := range slices.Sorted(maps.Keys(a.lost)) {
		l := a.lost[manifest]
		held, err := n.heldOf(manifest)
		if err != nil {
			return nil, nil, err
		}
		retained := ledger.NewSet(l.released...)
		suspects := ledger.NewSet(slices.Concat(l.missing, l.altered)...).Union(retained).Intersect(held)
		var missing, altered, gone []ledger.Range
		err = n.eachItem(manifest, suspects, func(items lookup) error {
			looked, err := a.examine(ctx, place, items)
			for i, f := range looked {
				here := ledger.Range{First: items.indexes[i], Last: items.indexes[i]}
				switch class := classify(f, items.wanted[i]); {
				case class == "":
					*recovered++
				case class == audit.Missing && retained.Contains(here.First):
					gone = append(gone, here)
				case class == audit.Missing:
					missing = append(missing, here)
				case class == audit.Altered:
					altered = append(altered, here)
				}
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		if l := (losses{ledger.NewSet(missing...), ledger.NewSet(altered...)}); l.len() > 0 {
			found[manifest] = l
		}
		if len(gone) > 0 {
			released[manifest] = ledger.NewSet(gone...)
		}
	}
	return found, released, nil
}

// examine reads items; that the place is away is an error.
func (a *auditor) examine(ctx context.Context, place *dest.Place, items lookup) ([]dest.Found, error) {
	var sizeBytes int64
	for _, wanted := range items.wanted {
		sizeBytes += wanted.SizeBytes
	}
	if err := audit.Pay(ctx, a.request.Limiter, sizeBytes); err != nil {
		return nil, err
	}
	found, err := place.Examine(ctx, items.names, true)
	if err != nil {
		return nil, a.night.atPlace(err)
	}
	for _, f := range found {
		if errors.Is(f.Err, dest.ErrUnreachable) {
			return nil, a.night.atPlace(f.Err)
		}
	}
	return found, nil
}

// signFound signs for what is lost, and for what the client's retention removed, and returns when that is in the log.
func (n *Night) signFound(ctx context.Context, found map[int64]losses, released map[int64]ledger.Set) error {
	for _, manifest := range slices.Sorted(maps.Keys(found)) {
		for part := range parts(found[manifest].missing) {
			if err := n.signLost(manifest, part, ledger.LostMissing); err != nil {
				return err
			}
		}
		for part := range parts(found[manifest].altered) {
			if err := n.signLost(manifest, part, ledger.LostAltered); err != nil {
				return err
			}
		}
	}
	for _, manifest := range slices.Sorted(maps.Keys(released)) {
		if err := n.signReleased(manifest, released[manifest], ledger.ReleasedRetention); err != nil {
			return err
		}
	}
	return n.send(ctx)
}
