// Package tally adds up what the agent's copy of a log says of its nights, for reports. It reads the store only, asks neither
// server nor destination, holds no more than one manifest's item sets at a time, and knows nothing of how it is shown.
package tally

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/report"
	"github.com/wolkvox/backup/internal/audio"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Period is the nights that are added up.
type Period struct {
	From, To backup.Date
	Zone     *time.Location // the tenant's
	At       time.Time      // now
	Heard    bool           // the log has all that the server has sealed by now
}

// Tally adds up one log. It is used by one goroutine.
type Tally struct {
	log       *store.Ledger
	period    Period
	manifests []ledger.Manifest    // of the period, in the order of nights and numbers
	last      backup.Date          // the latest night that was sealed
	begun     backup.Date          // when the destination came into being; zero while that was not heard
	ended     backup.Date          // when it ended; zero while it did not
	replaced  map[int64]ledger.Set // what a replacement was sealed for, per manifest
}

// New reads what the log says of the period as a whole.
func New(ctx context.Context, log *store.Ledger, period Period) (*Tally, error) {
	t := &Tally{log: log, period: period, replaced: make(map[int64]ledger.Set)}
	retired := false
	log.View(func(l *ledger.Log) {
		retired = l.Retired
		for _, m := range l.Manifests {
			if m.Night.Compare(t.last) > 0 {
				t.last = m.Night
			}
			if m.Night.Compare(period.From) >= 0 && m.Night.Compare(period.To) <= 0 {
				t.manifests = append(t.manifests, m)
			}
		}
	})
	slices.SortFunc(t.manifests, func(a, b ledger.Manifest) int {
		return cmp.Or(a.Night.Compare(b.Night), cmp.Compare(a.Number, b.Number))
	})
	if size, _ := log.Position(); size == 0 { // nobody knows yet when the destination began
		return t, nil
	}
	genesis, err := t.entry(0)
	if err != nil {
		return nil, err
	}
	t.begun = backup.DateOf(genesis.Time.In(period.Zone))
	if retired {
		if err := t.findEnd(); err != nil {
			return nil, err
		}
	}
	return t, t.findReplaced(ctx)
}

func (t *Tally) entry(i int64) (ledger.Entry, error) {
	leaf, err := t.log.Entry(i)
	if err != nil {
		return ledger.Entry{}, err
	}
	e, err := ledger.ParseEntry(leaf)
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("entry %d: %w", i, err)
	}
	return e, nil
}

// findEnd looks for the entry that ended the destination. Only other keys come after it.
func (t *Tally) findEnd() error {
	size, _ := t.log.Position()
	for i := size - 1; i > 0; i-- {
		e, err := t.entry(i)
		if err != nil {
			return err
		}
		if e.Body.Kind() == ledger.KindRetired {
			t.ended = backup.DateOf(e.Time.In(t.period.Zone))
			return nil
		}
	}
	return nil
}

// findReplaced looks for what was withdrawn of the period for a replacement.
func (t *Tally) findReplaced(ctx context.Context) error {
	if len(t.manifests) == 0 {
		return nil
	}
	first := slices.MinFunc(t.manifests, func(a, b ledger.Manifest) int { return cmp.Compare(a.SealedAt, b.SealedAt) }).SealedAt
	size, _ := t.log.Position()
	for leaf, err := range t.log.Entries(first, size) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(leaf, []byte("wolkvox-backup entry withdrawn ")) {
			continue
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return err
		}
		if w, ok := e.Body.(ledger.Withdrawn); ok && w.Replacement > 0 {
			t.replaced[w.Manifest] = t.replaced[w.Manifest].Union(w.Indexes)
		}
	}
	return nil
}

// Nights yields every night of the period in order, also those of which nothing was sealed.
func (t *Tally) Nights(ctx context.Context, yield func(report.Night) error) error {
	rest := t.manifests
	for date := t.period.From; date.Compare(t.period.To) <= 0; date = date.AddDays(1) {
		night := report.Night{Date: date, Standing: t.standing(date)}
		for ; len(rest) > 0 && rest[0].Night == date; rest = rest[1:] {
			part, err := t.manifest(ctx, rest[0])
			if err != nil {
				return fmt.Errorf("manifest %d: %w", rest[0].Number, err)
			}
			night.Add(part)
		}
		switch sealed := night.Expected().Items + night.States[backup.Withdrawn].Items; {
		case sealed > 0:
			night.Standing = report.Sealed
		case night.Manifests > 0:
			night.Standing = report.Empty
		}
		if err := yield(night); err != nil {
			return err
		}
	}
	return nil
}

// dueHour is when, on the day after a night, it should have been sealed, by the tenant's clock.
const dueHour = 12 * time.Hour

// standing returns why nothing was sealed of a night.
func (t *Tally) standing(night backup.Date) report.Standing {
	switch due := night.EndIn(t.period.Zone).Add(dueHour); {
	case !t.begun.IsZero() && night.Compare(t.begun) < 0:
		return report.Before
	case !t.ended.IsZero() && night.Compare(t.ended) >= 0:
		return report.Ended
	case night.Compare(t.last) < 0: // a later one was
		return report.NotSealed
	case t.period.At.Before(due):
		return report.NotDue
	case t.period.Heard:
		return report.NotSealed
	}
	return report.Unknown
}

// manifest adds up one manifest.
func (t *Tally) manifest(ctx context.Context, m ledger.Manifest) (report.Night, error) {
	n := report.Night{Date: m.Night, Manifests: 1}
	e, err := t.entry(m.SealedAt)
	if err != nil {
		return n, err
	}
	if sealed, ok := e.Body.(ledger.Sealed); ok {
		n.Interactions = sealed.Interactions
		for _, u := range sealed.Unrecorded {
			n.Unrecorded = append(n.Unrecorded, report.Reason{Code: u.Reason, Count: u.Count})
		}
	}
	states, err := t.log.States(m.Number)
	if err != nil {
		return n, err
	}
	if n.States, err = t.amounts(ctx, m, states); err != nil {
		return n, err
	}
	n.Replaced = t.replaced[m.Number].Intersect(states.Items(backup.Withdrawn)).Len()
	if n.States[backup.Pending].Items > 0 {
		n.Deadline = m.Deadline
	}
	faults, err := t.log.Faults(m.Number)
	if err != nil {
		return n, err
	}
	for _, s := range []backup.State{backup.Expired, backup.Pending} {
		items := states.Items(s)
		for _, f := range faults {
			if of := f.Items.Intersect(items); !of.IsEmpty() {
				cause := causeOf(f.Fault)
				cause.State, cause.Items = s, of.Len()
				n.Causes = append(n.Causes, cause)
				items = items.Difference(of)
			}
		}
		if s == backup.Expired && !items.IsEmpty() {
			n.Causes = append(n.Causes, report.Cause{State: s, Items: items.Len()})
		}
	}
	return n, nil
}

func causeOf(f store.Fault) report.Cause {
	return report.Cause{Class: f.Class, Party: f.Party, Code: f.Code, Message: f.Message}
}

// amounts adds up the items of a manifest by state. Where all are in one state, and measured, its lines are not read.
func (t *Tally) amounts(ctx context.Context, m ledger.Manifest, states store.ItemSets) (sums [8]report.Amount, err error) {
	var only backup.State
	for s, count := range states.Counts() {
		if count == m.Items && m.Items > 0 {
			only = backup.State(s)
		}
	}
	if only != 0 {
		sum := report.Amount{Items: m.Items, Bytes: m.Bytes}
		measured := &durations{log: t.log, manifest: m.Number}
		for i := range m.Items {
			d, err := measured.at(i)
			if err != nil {
				return sums, err
			}
			if d < 0 {
				sum.Unmeasured++
				break
			}
			sum.Sound += d
		}
		if sum.Unmeasured == 0 {
			sums[only] = sum
			return sums, nil
		}
	}
	rest := m.Bytes
	err = t.lines(ctx, m, states, func(index int64, line ledger.Line, s backup.State, sound time.Duration) error {
		sum := &sums[s]
		sum.Items++
		sum.Bytes += line.Item.Digest.SizeBytes
		rest -= line.Item.Digest.SizeBytes
		if sound < 0 {
			sum.Unmeasured++
		} else {
			sum.Sound += sound
		}
		return nil
	})
	if sums[backup.Forgotten].Items > 0 {
		sums[backup.Forgotten].Bytes += rest // of lines without text
	}
	return sums, err
}

// lines calls f with every line of a manifest, the state of its item, and how long that sounds, negative where not known.
func (t *Tally) lines(ctx context.Context, m ledger.Manifest, states store.ItemSets, f func(int64, ledger.Line, backup.State, time.Duration) error) error {
	measured := &durations{log: t.log, manifest: m.Number}
	index := int64(0)
	for line, err := range t.log.Lines(m.Number, 0) {
		if err == nil && index%1024 == 0 {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		state, ok := states.State(index)
		if !ok {
			return fmt.Errorf("item %d has no state", index)
		}
		sound, err := measured.at(index)
		if err != nil {
			return err
		}
		if d, known := audio.OfSize(line.Item.Kind, line.Item.Digest.SizeBytes); sound < 0 && known {
			sound = d
		}
		if err := f(index, line, state, sound); err != nil {
			return err
		}
		index++
	}
	return nil
}

// durations reads how long items sound, in the order of their indexes.
type durations struct {
	log      *store.Ledger
	manifest int64
	next     int64 // of the first item that was not read
	read     []time.Duration
}

func (d *durations) at(index int64) (time.Duration, error) {
	if index >= d.next {
		var err error
		if d.read, err = d.log.Durations(d.manifest, index); err != nil {
			return 0, err
		}
		d.next = index + int64(len(d.read))
	}
	return d.read[int64(len(d.read))-(d.next-index)], nil
}
