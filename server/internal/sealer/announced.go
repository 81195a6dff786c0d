package sealer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// KeptNights is for how many nights what was announced is taken and kept, whatever was sealed of it.
const KeptNights = 45

// Why an interaction counts as one without a recording although one was announced. The other reasons are the platform's.
const (
	unrecordedMissing = "missing" // no file came until the cut-off of the following night
	unrecordedDiffers = "differs" // what lies there has another size or digest
)

// Stands reports whether the manifest of a mark is in the log.
func Stands(seq *sequencer.Sequencer, mark registry.Mark) bool {
	m, ok := seq.Manifest(mark.Manifest)
	return ok && newMark(mark.Manifest, m.Root).Root == mark.Root
}

func newMark(manifest int64, root [32]byte) registry.Mark {
	return registry.Mark{Manifest: manifest, Root: [8]byte(root[:8])}
}

// asAnnounced gives a file what was announced of it, if that is what lies there. What lies there is sealed in any case.
func (s *Sealer) asAnnounced(tenant string, file hashed) (hashed, registry.Announcement, error) {
	a, found, err := s.announcements.Recording(tenant, file.sourcePath)
	if err != nil || !found || !a.Fits(file.item.Digest) {
		return file, a, err
	}
	file.item.Interaction, file.item.RecordedAt = a.Interaction, a.RecordedAt
	if a.Kind != 0 {
		file.item.Kind = a.Kind
	}
	return file, a, nil
}

// asAnnounced is [Sealer.asAnnounced] for the files of a night. Those of which another night was announced meanwhile are left
// for a later look.
func (l *look) asAnnounced(night backup.Date, files []hashed) ([]hashed, error) {
	if len(l.announced) == 0 {
		return files, nil
	}
	announced := make([]hashed, 0, len(files))
	for _, file := range files {
		file, a, err := l.sealer.asAnnounced(l.tenant.Name, file)
		if err != nil {
			return nil, err
		}
		if a.Night.IsZero() || a.Night == night {
			announced = append(announced, file)
		}
	}
	return announced, nil
}

// nights returns the nights that this look seals something of: those of the files, and those of which something was announced
// that is not counted in every log.
func (l *look) nights() ([]backup.Date, error) {
	nights := map[backup.Date]bool{}
	for night := range l.byNight {
		nights[night] = true
	}
	for _, night := range l.announced {
		for _, p := range l.places {
			if !p.chosen || night.Count == 0 || night.Night.Compare(l.latest) > 0 {
				continue
			}
			done, err := l.sealer.announcements.Done(l.tenant.Name, night.Night, p.Origin)
			if err != nil {
				return nil, err
			}
			if done != night.Generation {
				nights[night.Night] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(nights), backup.Date.Compare), nil
}

// tally is what a manifest says of the interactions of its night. Each is counted once in a night, in the first manifest
// that is sealed after what became of it is known.
type tally struct {
	night      registry.AnnouncedNight // that was counted
	counted    []registry.Counted
	known      []registry.Counted // the log has counted them, though no mark says so
	knownMark  registry.Mark
	unrecorded map[string]int64 // by reason
	waiting    bool             // some are not counted yet, because their recordings may still come
	done       bool             // all of the night were counted before
}

func (t *tally) isEmpty() bool { return t == nil || len(t.counted) == 0 }

// rest is what the next manifest of the same files says: it names no interaction again.
func (t *tally) rest() *tally {
	if t == nil {
		return nil
	}
	return &tally{night: t.night, done: t.done, waiting: t.waiting, known: t.known, knownMark: t.knownMark}
}

// postponed is what is left to a later look.
func (t *tally) postponed() *tally {
	if t.isEmpty() {
		return t
	}
	return &tally{night: t.night, waiting: true, known: t.known, knownMark: t.knownMark}
}

func (t *tally) unrecordedCounts() (counts []ledger.UnrecordedCount) {
	for _, reason := range slices.Sorted(maps.Keys(t.unrecorded)) {
		counts = append(counts, ledger.UnrecordedCount{Reason: reason, Count: t.unrecorded[reason]})
	}
	return counts
}

// tally counts the interactions of a night that are in no manifest of a log yet; fresh are the files that are sealed next. It
// is nil where nothing was announced for the night.
func (l *look) tally(p *place, night backup.Date, fresh []hashed) (*tally, error) {
	announcements := l.sealer.announcements
	announced, err := announcements.Night(l.tenant.Name, night)
	if err != nil || announced.Count == 0 {
		return nil, err
	}
	t := &tally{night: announced, unrecorded: map[string]int64{}}
	done, err := announcements.Done(l.tenant.Name, night, p.Origin)
	if err != nil || done == announced.Generation {
		t.done = true
		return t, err
	}
	c := counting{look: l, place: p, fresh: make(map[string]backup.Digest, len(fresh))}
	for _, file := range fresh {
		c.fresh[file.sourcePath] = file.item.Digest
	}
	final := l.isFinal(night)
	unmarked, mark, err := l.unmarked(p, night)
	if err != nil {
		return nil, err
	}
	t.knownMark = mark
	err = announcements.EachInteraction(l.tenant.Name, night, p.Origin, func(i registry.Interaction) error {
		if len(i.Announced) == 0 || i.Mark != nil && Stands(p.seq, *i.Mark) {
			return nil
		}
		reason, waits, err := c.judge(i, final)
		if err != nil {
			return err
		}
		if waits {
			t.waiting = true
			return nil
		}
		if unmarked[reason] > 0 {
			unmarked[reason]--
			t.known = append(t.known, registry.Counted{ID: i.ID, Reason: reason})
			return nil
		}
		t.counted = append(t.counted, registry.Counted{ID: i.ID, Reason: reason})
		if reason != "" {
			t.unrecorded[reason]++
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count the interactions of %s in %s: %w", night, p.Origin, err)
	}
	l.finding(night, c.differing, "have another size or digest than was announced")
	l.finding(night, c.missing, "were announced and did not come")
	return t, nil
}

// unmarked returns how many interactions of a night the log has counted of which no mark is left, by reason, and a mark for
// them. There are some after the server was restored, or when entries came from outside: what is announced again of such a night is
// taken for what was counted.
func (l *look) unmarked(p *place, night backup.Date) (counts map[string]int64, mark registry.Mark, err error) {
	counts = map[string]int64{}
	for number := int64(1); number <= p.seq.Last(); number++ {
		m, _ := p.seq.Manifest(number)
		if m.Night != night {
			continue
		}
		sealed, err := sealedOf(p.seq, m)
		if err != nil {
			return nil, mark, err
		}
		if sealed.Interactions == nil {
			continue
		}
		mark = newMark(number, m.Root)
		counts[""] += *sealed.Interactions
		for _, u := range sealed.Unrecorded {
			counts[""] -= u.Count
			counts[u.Reason] += u.Count
		}
	}
	if mark.Manifest == 0 {
		return counts, mark, nil
	}
	err = l.sealer.announcements.EachMark(l.tenant.Name, night, p.Origin, func(mark registry.Mark) {
		if Stands(p.seq, mark) {
			counts[mark.Reason]--
		}
	})
	return counts, mark, err
}

// sealedOf returns the entry that sealed a manifest.
func sealedOf(seq *sequencer.Sequencer, m ledger.Manifest) (ledger.Sealed, error) {
	leaf, err := seq.Ledger().Entry(m.SealedAt)
	if err != nil {
		return ledger.Sealed{}, err
	}
	entry, err := ledger.ParseEntry(leaf)
	if err != nil {
		return ledger.Sealed{}, fmt.Errorf("entry %d of %s: %w", m.SealedAt, seq.Origin(), err)
	}
	sealed, ok := entry.Body.(ledger.Sealed)
	if !ok {
		return ledger.Sealed{}, fmt.Errorf("entry %d of %s does not seal manifest %d", m.SealedAt, seq.Origin(), m.Number)
	}
	return sealed, nil
}

// isFinal reports whether what did not come until now counts as missing: the following night was cut off, and all that is there
// was seen.
func (l *look) isFinal(night backup.Date) bool {
	return l.scheduled && l.complete && !l.left[night] && night.Compare(l.latest) < 0
}

// comeMore reports whether files of the night that is cut off now are still being written: counts that have no files wait for
// them, so that both come in one manifest.
func (l *look) comeMore(night backup.Date) bool {
	return l.left[night] && night.Compare(l.latest) >= 0
}

// counting looks for the recordings of interactions.
type counting struct {
	look      *look
	place     *place
	fresh     map[string]backup.Digest // files that are sealed next, by source path
	differing []string                 // source paths
	missing   []string                 // source paths
}

// judge says why an interaction has no recording, "" where it has one, or whether that has to wait.
func (c *counting) judge(i registry.Interaction, final bool) (reason string, waits bool, err error) {
	var absent []string
	recorded, differs := false, false
	for _, a := range i.Announced {
		if a.SourcePath == "" {
			return a.NoRecording, false, nil
		}
		digest, there, err := c.digest(a.SourcePath)
		switch {
		case err != nil:
			return "", false, err
		case !there:
			absent = append(absent, a.SourcePath)
		case a.Fits(digest):
			recorded = true
		default:
			differs = true
			c.differing = append(c.differing, a.SourcePath)
		}
	}
	switch {
	case recorded:
		return "", false, nil
	case len(absent) > 0 && !final:
		return "", true, nil
	}
	c.missing = append(c.missing, absent...)
	if differs {
		return unrecordedDiffers, false, nil
	}
	return unrecordedMissing, false, nil
}

// digest returns the digest of what is sealed next, or was sealed last, from a source path.
func (c *counting) digest(sourcePath string) (digest backup.Digest, there bool, err error) {
	if digest, there = c.fresh[sourcePath]; there {
		return digest, true, nil
	}
	record, there, err := c.look.sealer.catalog.Lookup(c.place.Origin, sourcePath)
	return backup.Digest{SHA256: record.SHA256, SizeBytes: record.SizeBytes}, there, err
}

// finding makes known that recordings of a night are not what was announced. It is the same for each destination.
func (l *look) finding(night backup.Date, sourcePaths []string, what string) {
	if len(sourcePaths) == 0 {
		return
	}
	text := fmt.Sprintf("recordings of the night %s that %s: %d, such as %q", night, what, len(sourcePaths), sourcePaths[:min(len(sourcePaths), 3)])
	if !slices.Contains(l.problems, text) {
		l.problem(text)
	}
}

// settle notes what was counted, once it is sealed.
func (l *look) settle(p *place, t *tally) error {
	if t == nil || t.done {
		return nil
	}
	if len(t.known) > 0 {
		if err := l.sealer.announcements.PutCounted(l.tenant.Name, t.night.Night, p.Origin, t.known, t.knownMark); err != nil {
			return err
		}
	}
	if t.waiting {
		if p.waiting == nil {
			p.waiting = map[backup.Date]bool{}
		}
		p.waiting[t.night.Night] = true
		return nil
	}
	return l.sealer.announcements.SetDone(l.tenant.Name, p.Origin, t.night)
}
