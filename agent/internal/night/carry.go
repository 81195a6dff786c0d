package night

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fetch"
	"github.com/wolkvox/backup/internal/ledger"
)

// importable are the states of items that a person may bring.
var importable = []backup.State{backup.Pending, backup.Expired, backup.Waived}

// Import writes items, whose contents read writes, where they belong, as a night does it: what is there already is adopted by its
// hash, the rest is staged, made durable, read back, published, and signed for as brought by hand. read is called for what is
// missing, one after the other. An error of read that is [ErrFile] is about that item alone.
func (n *Night) Import(ctx context.Context, chosen Chosen, read func(ctx context.Context, item ItemID, w io.Writer) error, acts Acts) (ByHand, error) {
	return n.do(ctx, &byHand{chosen: chosen, states: importable, brought: ledger.BroughtByHand, acts: acts, read: read})
}

// carry stages the contents that a person has, and takes what has come through rounds.
func (b *batch) carry(ctx context.Context, items []fetch.Item) error {
	n := b.pass.night
	stage, err := b.place.Begin(ctx)
	if err != nil {
		return n.atPlace(err)
	}
	b.stage = stage
	var staged int64
	for _, item := range items {
		if err := b.carryOne(ctx, item); err != nil {
			return err
		}
		if staged += item.Digest.SizeBytes; staged >= roundBytes {
			staged = 0
			if err := b.round(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// carryOne stages one item. That a person's file is of no use is no error.
func (b *batch) carryOne(ctx context.Context, item fetch.Item) error {
	p := b.pass
	n := p.night
	staged, err := b.stage.Stage(ctx, item.Path, item.Digest)
	if err != nil {
		return n.atPlace(err)
	}
	file := b.measured(item, placeFile{staged, n})
	err = p.byHand.read(ctx, ItemID{b.work.manifest, item.Index}, file)
	if err == nil {
		err = file.Commit()
	}
	if err == nil {
		n.count(func(c *Progress) { c.FetchedBytes += item.Digest.SizeBytes })
		return nil
	}
	if !errors.Is(err, ErrFile) && !errors.Is(err, backup.ErrDigest) {
		return errors.Join(err, n.atPlace(file.Drop()))
	}
	b.release(item.Digest.SizeBytes)
	p.mu.Lock()
	p.byHand.met[ItemID{b.work.manifest, item.Index}] = err.Error()
	p.mu.Unlock()
	if err := file.Drop(); err != nil {
		return n.atPlace(fmt.Errorf("drop a file that is not what was offered: %w", err))
	}
	return nil
}
