package night

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/fetch"
	"github.com/wolkvox/backup/agent/internal/uplink"
)

// copyItems is how many items a place copies by itself before they are signed for, if they are not [roundBytes] before.
const copyItems = 1024

// copy has the place copy the items by itself, in parts, and signs for what is there after each: it is the steps 3 to 7 for
// places that need nothing fetched.
func (b *batch) copy(ctx context.Context, items []fetch.Item) error {
	for len(items) > 0 {
		if b.pass.paused() {
			return ErrPaused
		}
		n, sizeBytes := 0, int64(0)
		for n < len(items) && n < copyItems && (n == 0 || sizeBytes+items[n].Digest.SizeBytes <= roundBytes) {
			sizeBytes += items[n].Digest.SizeBytes
			n++
		}
		whole, err := b.copyPart(ctx, items[:n])
		if err != nil {
			b.pass.night.slowDown(fault.Of(err))
		}
		b.release(sizeBytes)
		if err := errors.Join(b.round(ctx), err, whole); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// copyPart copies some items. whole says why the destination is to be left alone; what was stored is signed for all the same.
func (b *batch) copyPart(ctx context.Context, items []fetch.Item) (whole, err error) {
	n := b.pass.night
	byIndex := make(map[int64]fetch.Item, len(items))
	wanted := make([]dest.CopyItem, len(items))
	for i, item := range items {
		byIndex[item.Index] = item
		wanted[i] = dest.CopyItem{Index: item.Index, Name: item.Path, Digest: item.Digest}
	}
	err = b.place.CopyItems(ctx, b.work.manifest, wanted, func(c dest.Copied) {
		switch {
		case c.Source != dest.SourceGood:
			b.pass.received(b.work.manifest, fetch.Outcome{Item: byIndex[c.Index], Unavailable: unavailable(c.Source)})
		case c.Err != nil:
			whole = cmp.Or(whole, b.fail(c.Index, c.Err))
		default:
			b.stored()
			b.add(c.Index, c.Method)
		}
	})
	if errors.Is(err, dest.ErrSource) { // it is the server's, not the destination's
		return whole, fmt.Errorf("%w: %w", fetch.ErrTransport, err)
	}
	return whole, n.atPlace(err)
}

// unavailable is what a place says of an item's source, as the server says it.
func unavailable(s dest.SourceState) uplink.Unavailability {
	switch s {
	case dest.SourceChanged:
		return uplink.SourceChanged
	case dest.SourceNotPending:
		return uplink.NotPending
	}
	return uplink.SourceUnreadable
}
