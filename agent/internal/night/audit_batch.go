package night

import (
	"context"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/audit"
)

// readBatch is a number of items of one manifest that an audit looks at together.
type readBatch struct {
	*auditor
	manifest  int64
	items     lookup
	sizeBytes int64
}

// add takes an item, after the batch was looked at if it is full.
func (b *readBatch) add(ctx context.Context, index int64, name string, wanted backup.Digest) error {
	if len(b.items.names) == auditItems || len(b.items.names) > 0 && b.sizeBytes+wanted.SizeBytes > b.mostBytes() {
		if err := b.flush(ctx); err != nil {
			return err
		}
		if b.request.Level == audit.Read {
			if err := b.moved(b.manifest, index); err != nil {
				return err
			}
			if b.isUsedUp() {
				return errBudget
			}
		}
	}
	b.items.indexes, b.items.names, b.items.wanted = append(b.items.indexes, index), append(b.items.names, name), append(b.items.wanted, wanted)
	b.sizeBytes += wanted.SizeBytes
	return nil
}

// mostBytes is how much is read at once: where a rate is set, what it allows in some seconds, and no more than what is left of a slice.
func (b *readBatch) mostBytes() int64 {
	most := int64(batchReadBytes)
	if b.budget > 0 {
		most = min(most, b.budget-b.used())
	}
	if b.request.Limiter == nil {
		return most
	}
	return min(most, max(4*int64(b.request.Limiter.Limit()), int64(b.request.Limiter.Burst())))
}

// flush looks at what is in the batch. What is read is paid for before; what turns out to be more, after.
func (b *readBatch) flush(ctx context.Context) error {
	items, paid := b.items, b.sizeBytes
	b.items, b.sizeBytes = lookup{}, 0
	if len(items.names) == 0 {
		return nil
	}
	if b.tells {
		paid = 0
	}
	if err := audit.Pay(ctx, b.request.Limiter, paid); err != nil {
		return err
	}
	found, err := b.place.Examine(ctx, items.names, b.request.Level == audit.Read)
	if err != nil {
		return b.night.atPlace(err)
	}
	var read int64
	for _, f := range found {
		if f.Err == nil && f.Method != backup.ProviderSHA256 {
			read += f.Digest.SizeBytes
		}
	}
	if err := b.judge(ctx, b.manifest, items, found); err != nil {
		return err
	}
	return audit.Pay(ctx, b.request.Limiter, read-paid)
}
