package sealer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/source/portable"
)

// rebuiltAtOnce is how many records are put at once.
const rebuiltAtOnce = 10_000

// ready makes a log ready to have manifests staged: it makes the catalog again where entries came from outside, and takes back
// what an interrupted attempt left. What no item of such a log names is then new to the ordinary look. While the log
// cannot be written nothing is done, since what is staged may be an agent's: the error wraps [sequencer.ErrRecovering]. The
// log's lock is held.
func (s *Sealer) ready(ctx context.Context, p *place) error {
	recovering, err := p.seq.Recovering()
	if err == nil && !recovering {
		err = p.seq.RebuildCatalog(ctx, func(ctx context.Context) error { return s.rebuild(ctx, p) })
	}
	if err == nil {
		err = p.seq.Ready()
	}
	if err != nil {
		return err
	}
	return s.takeBack(p)
}

func (s *Sealer) lockedReady(ctx context.Context, p *place) error {
	unlock := s.lock(p.Origin)
	defer unlock()
	return s.ready(ctx, p)
}

// RebuildStale makes the catalogs again that do not fit their logs any more; one that cannot be made keeps no other one from
// it. Whatever looks or checks first does it too.
func (s *Sealer) RebuildStale(ctx context.Context) error {
	all, err := s.registry.Recoveries()
	if err != nil {
		return fmt.Errorf("look for catalogs to be made again: %w", err)
	}
	var failed error
	for _, rec := range all {
		seq, ok := s.sequencers.Of(rec.Origin)
		if !ok || !rec.CatalogStale || rec.Recovering {
			continue
		}
		d, err := s.registry.DestinationOf(rec.Origin)
		if err == nil {
			err = s.lockedReady(ctx, &place{Destination: d, seq: seq})
		}
		if err != nil && !errors.Is(err, sequencer.ErrRecovering) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// rebuild makes the catalog what the manifests of the log name. What files look like is taken over where their contents are
// those in the manifest, so that they are not read again.
func (s *Sealer) rebuild(ctx context.Context, p *place) error {
	r := rebuilding{sealer: s, place: p, folders: map[string]bool{}, forgotten: map[position]bool{}}
	var err error
	if r.into, err = s.catalog.Rebuild(p.Origin); err != nil {
		return err
	}
	last := p.seq.Last()
	for manifest := int64(1); manifest <= last; manifest++ {
		if err := r.manifest(ctx, manifest); err != nil {
			return err
		}
	}
	err = r.into.Finish(func(record registry.Record) bool { return r.forgotten[position{record.Manifest, record.Index}] })
	if err == nil {
		err = s.announcements.ForgetDone(p.Tenant, p.Origin)
	}
	if err != nil {
		return err
	}
	s.logger.LogAttrs(ctx, slog.LevelInfo, "catalog made again from the ledger", slog.String("origin", string(p.Origin)), slog.Int64("manifests", last))
	return nil
}

// position is where an item stands in a log.
type position struct{ manifest, index int64 }

// rebuilding is the making of one catalog.
type rebuilding struct {
	sealer    *Sealer
	place     *place
	into      *registry.Rebuild
	folders   map[string]bool   // keys of folders that were put
	forgotten map[position]bool // items whose line was erased: only the catalog knows their path
	records   []registry.Record // to be put next
}

// manifest puts the records of one manifest; those of later ones take the place of earlier ones of the same source path.
func (r *rebuilding) manifest(ctx context.Context, number int64) error {
	index := int64(0)
	for line, err := range r.place.seq.Ledger().Lines(number, 0) {
		if err != nil {
			return err
		}
		if err := r.line(line, position{number, index}); err != nil {
			return err
		}
		index++
		if len(r.records) >= rebuiltAtOnce {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	return r.flush(ctx)
}

func (r *rebuilding) line(line ledger.Line, at position) error {
	if line.Forgotten {
		r.forgotten[at] = true
		return nil
	}
	record := recordOf(line.Item, at)
	before, found, err := r.sealer.catalog.Lookup(r.place.Origin, record.SourcePath)
	if err != nil {
		return err
	}
	if found && isOf(before, line.Item.Digest) {
		record.Identity = before.Identity
	}
	r.records = append(r.records, record)
	for _, key := range portable.Keys(line.Item.Path)[1:] {
		if !r.folders[key] {
			r.folders[key] = true
			r.records = append(r.records, folderRecord(key, at.manifest))
		}
	}
	return nil
}

func (r *rebuilding) flush(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	err := r.into.Put(r.records)
	r.records = r.records[:0]
	return err
}
