package forecast

import (
	"context"
	"fmt"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Nights is how many nights a rate is measured over: a week, so that weekends count as what they are.
const Nights = 7

// Backlogs returns what is pending of the open manifests of a log, by number. Where a part of a manifest is pending, its
// bytes are that part of the manifest's; [PendingBytes] has them exactly.
func Backlogs(log *store.Ledger) ([]Backlog, error) {
	var backlogs []Backlog
	for _, m := range manifests(log) {
		if !m.Open {
			continue
		}
		counts, err := log.Counts(m.Number)
		if err != nil {
			return nil, err
		}
		if pending := counts[backup.Pending]; pending > 0 {
			backlogs = append(backlogs, Backlog{m.Number, pending, mulDiv(m.Bytes, pending, m.Items), m.Deadline})
		}
	}
	return backlogs, nil
}

// PendingBytes returns the sum of the sizes of what is pending of a manifest. It reads the lines up to the last of them.
func PendingBytes(ctx context.Context, log *store.Ledger, manifest int64) (sizeBytes int64, err error) {
	pending, err := log.Items(manifest, backup.Pending)
	if err != nil || pending.IsEmpty() {
		return 0, err
	}
	index := pending.Ranges()[0].First
	for line, err := range log.Lines(manifest, index) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, fmt.Errorf("measure what is pending of manifest %d: %w", manifest, err)
		}
		if pending.Contains(index) {
			sizeBytes += line.Item.Digest.SizeBytes
		}
		if index == pending.Max() {
			break
		}
		index++
	}
	return sizeBytes, nil
}

// Measure returns what the last [Nights] nights brought, the first night that is to come ending at firstEnd. Only nights
// count in which something was to be copied: one without recordings says nothing, and one in which everything failed says
// much. Bytes are counted by the mean size of a manifest's recordings. Times are those of the entries.
func Measure(ctx context.Context, log *store.Ledger, firstEnd time.Time) (Rate, error) {
	w := week{from: firstEnd.Add(-(Nights + 1) * day), brought: make(map[int64]*brought)}
	if err := w.read(ctx, log); err != nil {
		return Rate{}, fmt.Errorf("measure the last nights of %s: %w", log.Origin(), err)
	}
	var rate Rate
	for _, m := range manifests(log) {
		counts, err := log.Counts(m.Number)
		if err != nil {
			return Rate{}, err
		}
		b := w.brought[m.Number]
		wanted := counts[backup.Pending]+counts[backup.Expired] > 0 && m.Deadline.After(w.from)
		if b == nil && !wanted {
			continue
		}
		until := m.Deadline
		if b != nil {
			rate.Items += b.items
			if m.Items > 0 {
				rate.Bytes += mulDiv(m.Bytes, b.items, m.Items)
			}
		}
		if !wanted {
			until = b.last
		}
		sealed, err := SealedAt(log, m)
		if err != nil {
			return Rate{}, err
		}
		w.wanted(sealed, until)
	}
	for _, worked := range w.worked {
		if worked {
			rate.Nights++
		}
	}
	return rate, nil
}

// week is the last nights.
type week struct {
	from    time.Time // the beginning of the first of them
	brought map[int64]*brought
	worked  [Nights]bool // whether something was to be copied in it
}

// brought is what was confirmed of a manifest.
type brought struct {
	items int64
	last  time.Time
}

// wanted notes that something was to be copied from one instant to another: in each night that began before the end of that
// time, and ended after its beginning.
func (w *week) wanted(from, until time.Time) {
	for i := range w.worked {
		start := w.from.Add(time.Duration(i) * day)
		if from.Before(start.Add(day)) && until.After(start) {
			w.worked[i] = true
		}
	}
}

// block is how many entries are read at once.
const block = 512

// read reads the log from its end back to where nothing is of the last nights any more. Entries of the night that is going
// on are left out: it is not over. An agent's clock may be wrong, so that a block ends the search only as a whole.
func (w *week) read(ctx context.Context, log *store.Ledger) error {
	until := w.from.Add(Nights * day)
	for end, _ := log.Position(); end > 0; end -= min(block, end) {
		older := true
		for leaf, err := range log.Entries(max(end-block, 0), end) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			entry, err := ledger.ParseEntry(leaf)
			if err != nil {
				return err
			}
			older = older && entry.Time.Before(w.from)
			delivered, ok := entry.Body.(ledger.Delivered)
			if !ok || entry.Time.Before(w.from) || !entry.Time.Before(until) {
				continue
			}
			b := w.brought[delivered.Manifest]
			if b == nil {
				b = &brought{}
				w.brought[delivered.Manifest] = b
			}
			b.items += delivered.Indexes.Len()
			if entry.Time.After(b.last) {
				b.last = entry.Time
			}
		}
		if older {
			return nil
		}
	}
	return nil
}

func manifests(log *store.Ledger) (all []ledger.Manifest) {
	log.View(func(l *ledger.Log) { all = append(all, l.Manifests...) })
	return all
}

// SealedAt returns when a manifest was sealed.
func SealedAt(log *store.Ledger, m ledger.Manifest) (time.Time, error) {
	leaf, err := log.Entry(m.SealedAt)
	if err != nil {
		return time.Time{}, err
	}
	entry, err := ledger.ParseEntry(leaf)
	return entry.Time, err
}

// LastDelivered returns when the last receipt that confirms something was signed, by the agent's clock; zero where none was
// after since. It reads the log from its end.
func LastDelivered(log *store.Ledger, since time.Time) (last time.Time, err error) {
	for end, _ := log.Position(); end > 0 && last.IsZero(); end -= min(block, end) {
		older := true
		for leaf, err := range log.Entries(max(end-block, 0), end) {
			if err != nil {
				return time.Time{}, err
			}
			entry, err := ledger.ParseEntry(leaf)
			if err != nil {
				return time.Time{}, err
			}
			older = older && entry.Time.Before(since)
			if _, ok := entry.Body.(ledger.Delivered); ok && entry.Time.After(since) && entry.Time.After(last) {
				last = entry.Time
			}
		}
		if older {
			break
		}
	}
	return last, nil
}
