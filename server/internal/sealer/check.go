package sealer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/source"
)

// Checked is what reading the source again found for some items of a manifest.
type Checked struct {
	Equal     ledger.Set // what lies there is what was sealed: nothing was done
	Changed   ledger.Set // withdrawn, and replaced unless what lies there now was sealed before
	Lost      ledger.Set // withdrawn without a replacement: the source was proved, and nothing is there
	Unsettled ledger.Set // still being written: to be checked again later
	Unknown   ledger.Set // could not be read, or the source not be reached: nothing was done
}

// CheckSource reads the source of items again, because an agent or the content service found that they differ from what
// was sealed, and withdraws what did change. Only items that are pending, expired or waived are looked at, and none of a
// destination that has ended. The error says why items are unknown.
func (s *Sealer) CheckSource(ctx context.Context, origin ledger.Origin, manifest int64, indexes ledger.Set, at time.Time) (Checked, error) {
	c, err := s.newCheck(origin, manifest, at)
	if err != nil {
		return Checked{}, err
	}
	defer c.close()
	if c.place.seq.Retired() {
		return Checked{}, nil
	}
	if err := s.lockedReady(ctx, c.place); err != nil {
		return Checked{Unsettled: indexes}, err
	}
	states, err := c.place.seq.Ledger().States(manifest)
	if err != nil {
		return Checked{}, err
	}
	var unknown error
	for index := range states.Among(indexes, backup.Pending, backup.Expired, backup.Waived).All() {
		if err := c.read(ctx, index); err != nil {
			unknown = err
			c.unknown = append(c.unknown, only(index))
		}
		if err := context.Cause(ctx); err != nil {
			return Checked{}, err
		}
	}
	unlock := s.lock(origin)
	defer unlock()
	if err := s.ready(ctx, c.place); err != nil {
		return Checked{}, err
	}
	if err := c.withdrawLost(ctx); err != nil {
		return Checked{}, err
	}
	if err := c.replaceChanged(ctx); err != nil {
		return Checked{}, err
	}
	found := Checked{
		Equal: ledger.NewSet(c.equal...), Changed: ledger.NewSet(c.replaced...), Lost: ledger.NewSet(c.gone...),
		Unsettled: ledger.NewSet(c.unsettled...), Unknown: ledger.NewSet(c.unknown...),
	}
	s.logger.LogAttrs(ctx, slog.LevelInfo, "source checked", slog.String("origin", string(origin)), slog.Int64("manifest", manifest),
		slog.Int64("equal", found.Equal.Len()), slog.Int64("changed", found.Changed.Len()), slog.Int64("lost", found.Lost.Len()),
		slog.Int64("unsettled", found.Unsettled.Len()), slog.Int64("unknown", found.Unknown.Len()))
	return found, unknown
}

func only(index int64) ledger.Range { return ledger.Range{First: index, Last: index} }

// check is one call of CheckSource.
type check struct {
	sealer   *Sealer
	place    *place
	tenant   registry.Tenant
	zone     *time.Location
	manifest int64
	at       time.Time
	sources  map[string]registry.Source
	trees    map[string]*source.Tree

	changed []replacing
	lost    []lostItem

	equal, replaced, gone, unsettled, unknown []ledger.Range
}

type lostItem struct {
	index      int64
	sourcePath string
}

func (s *Sealer) newCheck(origin ledger.Origin, manifest int64, at time.Time) (*check, error) {
	destination, err := s.registry.DestinationOf(origin)
	if err != nil {
		return nil, err
	}
	tenant, err := s.registry.Tenant(destination.Tenant)
	if err != nil {
		return nil, err
	}
	zone, err := tenant.Location()
	if err != nil {
		return nil, err
	}
	sources, err := s.registry.Sources(destination.Tenant)
	if err != nil {
		return nil, err
	}
	seq, ok := s.sequencers.Of(origin)
	if !ok {
		return nil, fmt.Errorf("the log %s is not open", origin)
	}
	c := &check{
		sealer: s, place: &place{Destination: destination, seq: seq}, tenant: tenant, zone: zone, manifest: manifest, at: at,
		sources: map[string]registry.Source{}, trees: map[string]*source.Tree{},
	}
	for _, one := range sources {
		c.sources[one.Name] = one
	}
	return c, nil
}

func (c *check) close() {
	for _, tree := range c.trees {
		tree.Close()
	}
}

func (c *check) tree(ctx context.Context, name string) (*source.Tree, error) {
	if tree := c.trees[name]; tree != nil {
		return tree, nil
	}
	one, ok := c.sources[name]
	if !ok {
		return nil, fmt.Errorf("source %s of tenant %s: %w: it is not registered", name, c.tenant.Name, source.ErrUnreachable)
	}
	tree, err := c.sealer.sources.Open(ctx, one)
	if err == nil {
		c.trees[name] = tree
	}
	return tree, err
}

// read reads one item's file and sorts the item. Its error says why nothing is known.
func (c *check) read(ctx context.Context, index int64) error {
	line, err := c.place.seq.Ledger().Line(c.manifest, index)
	if err != nil || line.Forgotten {
		return err
	}
	path := SourcePath(line.Item)
	name, below := SplitSourcePath(path)
	tree, err := c.tree(ctx, name)
	if err != nil {
		return err
	}
	h, err := tree.HashFile(ctx, below)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, source.ErrNotRegular):
		c.lost = append(c.lost, lostItem{index, path})
		return nil
	case errors.Is(err, source.ErrChanging):
		c.unsettled = append(c.unsettled, only(index))
		return nil
	case err != nil:
		return err
	case h.Digest == line.Item.Digest:
		c.equal = append(c.equal, only(index))
		return c.looksLike(index, path, identityOf(h.Identity))
	case !h.ModTime.After(c.at) && c.at.Sub(h.ModTime) < c.tenant.Quiet:
		c.unsettled = append(c.unsettled, only(index))
		return nil
	}
	c.changed = append(c.changed, replacing{index, newHashed(name, h)})
	return nil
}

// looksLike notes in the catalog what the file of an item looks like, if the item is the latest of its file.
func (c *check) looksLike(index int64, sourcePath string, identity registry.Identity) error {
	latest, err := c.isLatest(index, sourcePath)
	if err != nil || !latest {
		return err
	}
	return c.sealer.catalog.UpdateIdentity(c.place.Origin, sourcePath, identity)
}

func (c *check) isLatest(index int64, sourcePath string) (bool, error) {
	record, found, err := c.sealer.catalog.Lookup(c.place.Origin, sourcePath)
	return found && record.Manifest == c.manifest && record.Index == index, err
}

// withdrawLost withdraws what is gone. The catalog forgets before what the files looked like: should one come back, it is
// read and sealed as another item.
func (c *check) withdrawLost(ctx context.Context) error {
	for _, item := range c.lost {
		if err := c.looksLike(item.index, item.sourcePath, registry.Identity{}); err != nil {
			return err
		}
		c.gone = append(c.gone, only(item.index))
	}
	return c.withdraw(ctx, c.gone, ledger.WithdrawnLost)
}

func (c *check) withdraw(ctx context.Context, items []ledger.Range, reason string) error {
	for batch := range slices.Chunk(items, withdrawnAtOnce) {
		w := sequencer.Withdrawal{Manifest: c.manifest, Indexes: ledger.NewSet(batch...), Reason: reason}
		if _, err := c.place.seq.Withdraw(ctx, w, c.at); err != nil {
			return err
		}
	}
	return nil
}

// replaceChanged withdraws what changed and seals what lies there now. Where a later item was made of the same file
// before, there is nothing more to seal.
func (c *check) replaceChanged(ctx context.Context) error {
	var items []replacing
	var superseded []ledger.Range
	for _, r := range c.changed {
		latest, err := c.isLatest(r.index, r.file.sourcePath)
		if err != nil {
			return err
		}
		if latest {
			items = append(items, r)
		} else {
			superseded = append(superseded, only(r.index))
		}
		c.replaced = append(c.replaced, only(r.index))
	}
	if err := c.withdraw(ctx, superseded, ledger.WithdrawnChanged); err != nil {
		return err
	}
	return c.sealer.replace(ctx, c.zone, c.place, c.manifest, items, c.at)
}
