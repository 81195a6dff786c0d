package sealer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// withdrawnAtOnce is how many items one entry withdraws: their ranges fit in any entry.
const withdrawnAtOnce = 2000

// seal seals, for one destination, what is new among the files of a night, and what changed since it was sealed.
func (l *look) seal(ctx context.Context, p *place, night backup.Date, files []hashed) error {
	unlock := l.sealer.lock(p.Origin)
	defer unlock()
	if err := l.sealer.ready(ctx, p); err != nil {
		return err
	}
	defer l.sealer.announcements.Hold(l.tenant.Name)()
	files, err := l.asAnnounced(night, files)
	if err != nil {
		return err
	}
	var fresh []hashed
	var sameContents []registry.Record
	changed := map[int64][]replacing{} // by the manifest of the old item
	for _, file := range files {
		record, found, err := l.sealer.catalog.Lookup(p.Origin, file.sourcePath)
		if err != nil {
			return err
		}
		if !found {
			fresh = append(fresh, file)
			continue
		}
		if record.Identity == file.identity {
			continue
		}
		state, err := p.seq.Ledger().StateOf(record.Manifest, record.Index)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		switch {
		case state == backup.Forgotten, state != backup.Withdrawn && isOf(record, file.item.Digest):
			record.Identity = file.identity
			sameContents = append(sameContents, record)
		case state == backup.Pending || state == backup.Expired || state == backup.Waived:
			changed[record.Manifest] = append(changed[record.Manifest], replacing{record.Index, file})
		default: // what is confirmed, released or withdrawn stays so; this is another recording
			fresh = append(fresh, file)
		}
	}
	if err := l.sealer.catalog.PutBatch(p.Origin, sameContents); err != nil {
		return err
	}
	for _, manifest := range slices.Sorted(maps.Keys(changed)) {
		if err := l.sealer.replace(ctx, l.zone, p, manifest, changed[manifest], l.now()); err != nil {
			return err
		}
	}
	counts, err := l.tally(p, night, fresh)
	if err != nil {
		return err
	}
	if len(fresh) == 0 && l.comeMore(night) {
		counts = counts.postponed()
	}
	for len(fresh) > 0 || !counts.isEmpty() {
		batch := fresh[:min(len(fresh), ledger.MaxItems)]
		if err := l.sealer.sealManifest(ctx, l.zone, p, night, batch, counts, nil, l.now()); err != nil {
			return err
		}
		fresh, counts = fresh[len(batch):], counts.rest()
	}
	return l.settle(p, counts)
}

func isOf(record registry.Record, digest backup.Digest) bool {
	return record.SHA256 == digest.SHA256 && record.SizeBytes == digest.SizeBytes
}

// replacing is a file whose contents are not any more those that were sealed as the item with this index.
type replacing struct {
	index int64
	file  hashed
}

// replace withdraws items of one manifest and seals what lies in their place now, under the same night.
func (s *Sealer) replace(ctx context.Context, zone *time.Location, p *place, manifest int64, items []replacing, at time.Time) error {
	m, ok := p.seq.Manifest(manifest)
	if !ok {
		return fmt.Errorf("replace items of manifest %d of %s: %w", manifest, p.Origin, store.ErrNotFound)
	}
	for batch := range slices.Chunk(items, withdrawnAtOnce) {
		w := sequencer.Withdrawal{Manifest: manifest, Reason: ledger.WithdrawnChanged}
		var files []hashed
		var ranges []ledger.Range
		for _, r := range batch {
			files = append(files, r.file)
			ranges = append(ranges, ledger.Range{First: r.index, Last: r.index})
		}
		w.Indexes = ledger.NewSet(ranges...)
		if err := s.sealManifest(ctx, zone, p, m.Night, files, nil, &w, at); err != nil {
			return err
		}
	}
	return nil
}

// sealManifest stages a manifest of files, catalogs them and seals it, with what it says of interactions and together with
// what it replaces, if anything. The log's lock is held.
func (s *Sealer) sealManifest(ctx context.Context, zone *time.Location, p *place, night backup.Date, files []hashed, counts *tally, w *sequencer.Withdrawal, at time.Time) error {
	if err := s.ready(ctx, p); err != nil {
		return err
	}
	number := p.seq.Last() + 1
	records, items, err := s.name(p.Origin, number, files)
	if err != nil {
		return err
	}
	m, err := stage(ctx, p, number, items)
	if err != nil {
		return err
	}
	if err := s.catalog.PutBatch(p.Origin, records); err != nil {
		return err
	}
	if counts != nil {
		if err := s.announcements.PutCounted(p.Tenant, night, p.Origin, counts.counted, newMark(number, m.Root)); err != nil {
			return err
		}
		interactions := int64(len(counts.counted))
		m.Interactions, m.Unrecorded = &interactions, counts.unrecordedCounts()
	}
	m.Night = night
	m.Deadline = backup.Deadline(night, at, p.Kind.WindowDays(), zone)
	withdrawn := ledger.Set{}
	if w == nil {
		err = p.seq.Seal(ctx, m, at)
	} else {
		withdrawn, err = p.seq.Replace(ctx, *w, m, at)
	}
	if err != nil {
		return fmt.Errorf("seal manifest %d of %s: %w", number, p.Origin, err)
	}
	p.sealed = append(p.sealed, number)
	s.logger.LogAttrs(ctx, slog.LevelInfo, "manifest sealed", slog.String("origin", string(p.Origin)), slog.Int64("manifest", number),
		slog.String("night", night.String()), slog.Int64("items", m.Items), slog.Int64("withdrawn", withdrawn.Len()))
	return nil
}

// stage puts the lines of a manifest into the store.
func stage(ctx context.Context, p *place, number int64, items []backup.Item) (m sequencer.Manifest, err error) {
	writer, err := p.seq.Ledger().StageManifest(number)
	if err != nil {
		return m, err
	}
	defer writer.Abort()
	for _, item := range items {
		if err := context.Cause(ctx); err != nil {
			return m, err
		}
		line, err := ledger.FormatLine(item)
		if err != nil {
			return m, err
		}
		if err := writer.Add(line); err != nil {
			return m, err
		}
	}
	m.Number = number
	m.Root, m.Items, m.Bytes, err = writer.Commit()
	return m, err
}

// sealEmpty seals an empty manifest for every night, from the day on which the destination was made, that
// has no manifest and no files that still wait.
func (l *look) sealEmpty(ctx context.Context) error {
	for _, p := range l.places {
		if !p.chosen {
			continue
		}
		unlock := l.sealer.lock(p.Origin)
		err := l.sealEmptyNights(ctx, p)
		unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *look) sealEmptyNights(ctx context.Context, p *place) error {
	sealed := map[backup.Date]bool{}
	p.seq.Ledger().View(func(log *ledger.Log) {
		for _, m := range log.Manifests {
			sealed[m.Night] = true
		}
	})
	for night := backup.DateOf(p.CreatedAt.In(l.zone)); night.Compare(l.latest) <= 0; night = night.AddDays(1) {
		if sealed[night] || l.left[night] || p.waiting[night] {
			continue
		}
		if err := l.sealer.sealManifest(ctx, l.zone, p, night, nil, nil, nil, l.now()); err != nil {
			return err
		}
	}
	return nil
}

// byPath orders the items of a manifest.
func byPath(a, b registry.Record) int { return strings.Compare(a.Path, b.Path) }
