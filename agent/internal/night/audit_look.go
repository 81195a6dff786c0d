package night

import (
	"context"
	"errors"
	"fmt"

	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// batchReadBytes is how much an audit reads together, single larger files apart.
const batchReadBytes = 64 << 20

// readAll hashes all that is wanted, from where an interrupted audit was.
func (a *auditor) readAll(ctx context.Context) error {
	for manifest := a.position.Manifest; manifest <= a.night.lastManifest(); manifest++ {
		set, err := a.itemsOf(manifest)
		if err != nil {
			return err
		}
		b := &readBatch{auditor: a, manifest: manifest}
		if !set.IsEmpty() {
			index := set.Ranges()[0].First
			for line, err := range a.night.Log.Lines(manifest, index) {
				if err != nil {
					return err
				}
				if set.Contains(index) && !line.Forgotten && a.sample.Takes(manifest, index) {
					if err := b.add(ctx, index, line.Item.Path, line.Item.Digest); err != nil {
						return err
					}
				}
				if index++; index > set.Max() {
					break
				}
			}
		}
		if err := b.flush(ctx); err != nil {
			return err
		}
		if err := a.moved(manifest+1, 0); err != nil {
			return err
		}
		if a.isUsedUp() && manifest < a.night.lastManifest() {
			return errBudget
		}
	}
	return nil
}

// list compares names, and where the level is that also sizes, with a listing. Each part of the names has a listing of its own,
// so that the table stays small.
func (a *auditor) list(ctx context.Context) error {
	var names int64
	last := a.night.lastManifest()
	for manifest := int64(1); manifest <= last; manifest++ {
		counts, err := a.night.Log.Counts(manifest)
		if err != nil {
			return err
		}
		names += counts.Sum()
	}
	parts := audit.Parts(names)
	for part := range parts {
		l := &listing{auditor: a, part: part, parts: parts, names: audit.NewNames(names/int64(parts) + names/int64(parts)/50), last: last}
		if err := l.compare(ctx); err != nil {
			return err
		}
	}
	return nil
}

// listing compares one part of the names.
type listing struct {
	*auditor
	part, parts int
	names       *audit.Names
	last        int64 // manifests up to this one are in the table
}

func (l *listing) compare(ctx context.Context) error {
	if err := l.know(1); err != nil {
		return err
	}
	for file, err := range l.place.List(ctx) {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, dest.ErrUnreachable):
			return l.night.atPlace(err)
		case err != nil:
			if away := l.place.CheckMarker(ctx); away != nil {
				return l.night.atPlace(away)
			}
			l.partial = fmt.Errorf("%w: %w", errListing, l.night.atPlace(err))
			return nil
		}
		if audit.PartOf(file.Name, l.parts) != l.part || l.names.See(file.Name, file.SizeBytes, file.Regular) {
			continue
		}
		if late, err := l.isLate(file.Name, file.SizeBytes, file.Regular); err != nil || late {
			if err != nil {
				return err
			}
			continue
		}
		if err := l.found(audit.Finding{Class: audit.Extra, Name: file.Name, SizeBytes: file.SizeBytes}); err != nil {
			return err
		}
	}
	if l.request.Level == audit.Read {
		return nil
	}
	return l.compareSizes(ctx)
}

// know adds the names of the manifests from this one to the last to the table.
func (l *listing) know(from int64) error {
	for manifest := from; manifest <= l.last; manifest++ {
		for line, err := range l.night.Log.Lines(manifest, 0) {
			if err != nil {
				return err
			}
			if !line.Forgotten && audit.PartOf(line.Item.Path, l.parts) == l.part {
				l.names.Add(line.Item.Path)
			}
		}
	}
	return nil
}

// isLate reports whether a name is one of a manifest that was sealed since the table was made: a night that runs may have
// published it. A manifest is known before any of its files is at the destination.
func (l *listing) isLate(name string, sizeBytes int64, regular bool) (bool, error) {
	last := l.night.lastManifest()
	if last == l.last {
		return false, nil
	}
	from := l.last + 1
	l.last = last
	if err := l.know(from); err != nil {
		return false, err
	}
	return l.names.See(name, sizeBytes, regular), nil
}

// compareSizes looks closer at everything that should be there and was not listed, or not with its size; and at all where the
// place tells digests.
func (l *listing) compareSizes(ctx context.Context) error {
	for manifest := int64(1); manifest <= l.last; manifest++ {
		held, err := l.night.heldOf(manifest)
		if err != nil {
			return err
		}
		b := &readBatch{auditor: l.auditor, manifest: manifest}
		if held.IsEmpty() {
			continue
		}
		index := held.Ranges()[0].First
		for line, err := range l.night.Log.Lines(manifest, index) {
			if err != nil {
				return err
			}
			if held.Contains(index) && !line.Forgotten && audit.PartOf(line.Item.Path, l.parts) == l.part && l.sample.Takes(manifest, index) {
				sizeBytes, listed := l.names.Size(line.Item.Path)
				if !l.tells && listed && sizeBytes == line.Item.Digest.SizeBytes {
					l.position.Counts.Looked++
					l.position.Counts.Present++
				} else if err := b.add(ctx, index, line.Item.Path, line.Item.Digest); err != nil {
					return err
				}
			}
			if index++; index > held.Max() {
				break
			}
		}
		if err := b.flush(ctx); err != nil {
			return err
		}
		l.request.Watch(l.position.Counts)
	}
	return nil
}
