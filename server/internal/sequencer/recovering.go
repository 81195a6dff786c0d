package sequencer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/registry"
)

var (
	// ErrRecovering says that nothing is written to the log now: it may lack entries that the server once signed, or an
	// alarm stands that only people can settle. Try again later.
	ErrRecovering = errors.New("the log is recovering: nothing is written to it until it has all that was signed")
	// ErrFork says that agents hold two histories of the log: people decide.
	ErrFork = errors.New("agents hold two histories of the log; nothing goes on until people decide: ask wolkvox to restart the log")
	// ErrTailLost says that nobody who was heard can supply a head that the server once signed: people decide.
	ErrTailLost = errors.New("nobody can supply all that the server once signed; nothing goes on until it is found or people decide: ask wolkvox to restart the log")
)

// maxWanted is how many heads a log may want at once: each destination keeps one.
const maxWanted = 16

// Evidence keeps what is cut off a log.
type Evidence interface {
	// Keep makes a durable copy of the whole log, of which head is the head, and says where it is. The log does not change
	// meanwhile.
	Keep(ctx context.Context, log *store.Ledger, head []byte, at time.Time) (where string, err error)
}

// Ready returns nil where the sealer may seal. Otherwise the error wraps [ErrRecovering], and where an alarm stands
// [ErrFork] or [ErrTailLost]. A log whose catalog has to be made again is not ready, see [Sequencer.RebuildCatalog].
func (s *Sequencer) Ready() error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	rec, err := s.record()
	if err == nil && rec.CatalogStale {
		err = fmt.Errorf("the log %s: %w: its catalog has to be made again", s.Origin(), ErrRecovering)
	}
	return err
}

// mayWrite returns an error that wraps ErrRecovering where nothing may be written.
func (s *Sequencer) mayWrite() error {
	if err := s.stopped(); err != nil {
		return fmt.Errorf("%w: %w", ErrRecovering, err)
	}
	rec, err := s.record()
	if err == nil && rec.Recovering {
		err = fmt.Errorf("the log %s: %w", s.Origin(), ErrRecovering)
	}
	return err
}

// stopped returns ErrFork or ErrTailLost where such an alarm stands.
func (s *Sequencer) stopped() error {
	for _, stop := range []struct {
		kind registry.AlarmKind
		err  error
	}{{registry.AlarmFork, ErrFork}, {registry.AlarmTailLost, ErrTailLost}} {
		switch _, err := s.registry.Alarm(s.Origin(), stop.kind); {
		case err == nil:
			return fmt.Errorf("the log %s: %w", s.Origin(), stop.err)
		case !errors.Is(err, registry.ErrNotFound):
			return err
		}
	}
	return nil
}

// Recovering reports whether the log may lack entries that the server once signed.
func (s *Sequencer) Recovering() (bool, error) {
	rec, err := s.record()
	return rec.Recovering, err
}

func (s *Sequencer) record() (registry.Recovery, error) { return s.registry.Recovery(s.Origin()) }

func (s *Sequencer) update(change func(*registry.Recovery)) error {
	_, err := s.registry.UpdateRecovery(s.Origin(), change)
	return err
}

// remember compares the log with what is known of it: it recovers where it lost entries that an agent holds. begun says that
// the log had a genesis, if the record does not know.
func (s *Sequencer) remember(ctx context.Context, begun bool) error {
	rec, err := s.record()
	if err != nil {
		return err
	}
	size, _ := s.log.Position()
	headLost, err := s.lacks(rec.LastHead)
	if err != nil {
		return err
	}
	var agreed int64 // entries that an agent is known to hold by the log itself
	if note := s.log.Agreed(); note != nil {
		head, _, err := ledger.ParseHead(note)
		if err != nil {
			return err
		}
		agreed = head.Size
	}
	lost := headLost || rec.HeldSize > size || size == 0 && (rec.Begun || begun)
	if lost && !rec.Recovering {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "the log went back in time: it recovers", slog.String("origin", string(s.Origin())),
			slog.Int64("size", size), slog.String("last_head", string(rec.LastHead)))
	}
	return s.update(func(rec *registry.Recovery) {
		rec.Begun = rec.Begun || begun || size > 0
		rec.Recovering = rec.Recovering || lost
		rec.HeldSize = min(rec.HeldSize, size)
		if headLost { // the size may be that of another history
			rec.HeldSize = agreed
		}
	})
}

// lacks reports whether the log does not contain a head, which is not there where note is empty.
func (s *Sequencer) lacks(note []byte) (bool, error) {
	if len(note) == 0 {
		return false, nil
	}
	h, _, err := ledger.ParseHead(note)
	if err != nil {
		return false, err
	}
	err = s.contains(h.Size, h.Root)
	if errors.Is(err, ErrOfferWanted) {
		return true, nil
	}
	return false, err
}

// held takes down that an agent holds the first size entries as they are here. s.writing is held.
func (s *Sequencer) held(size int64) error {
	rec, err := s.record()
	if err != nil {
		return err
	}
	last, _, parseErr := ledger.ParseHead(rec.LastHead)
	if size <= rec.HeldSize && (rec.Recovering || parseErr == nil && last.Size >= size) || size == 0 {
		return nil
	}
	note, _, err := s.HeadAt(size)
	if err != nil {
		return err
	}
	return s.update(func(rec *registry.Recovery) {
		rec.HeldSize = max(rec.HeldSize, size)
		// While it recovers, the last head may be one that the log still has to find.
		if last, _, err := ledger.ParseHead(rec.LastHead); !rec.Recovering && (err != nil || last.Size < size) {
			rec.LastHead = note
		}
	})
}

// want makes the log recover until it contains a head, whose signature was verified. s.writing is held.
func (s *Sequencer) want(ctx context.Context, note []byte) error {
	wanted, _, err := ledger.ParseHead(note)
	if err != nil {
		return err
	}
	before, err := s.record()
	if err != nil {
		return err
	}
	if !before.Recovering {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "a head was shown that the log does not contain: it recovers",
			slog.String("origin", string(s.Origin())), slog.String("head", string(note)))
	}
	return s.update(func(rec *registry.Recovery) {
		rec.Recovering = true
		smallest, smallestSize := -1, wanted.Size
		for i, known := range rec.Wanted {
			h, _, err := ledger.ParseHead(known)
			if err == nil && h == wanted {
				return
			}
			if err != nil || h.Size < smallestSize {
				smallest, smallestSize = i, h.Size
			}
		}
		if len(rec.Wanted) < maxWanted {
			rec.Wanted = append(rec.Wanted, note)
		} else if smallest >= 0 {
			rec.Wanted[smallest] = note
		}
	})
}

// wanted returns the heads that the log has to contain.
func wanted(rec registry.Recovery) [][]byte {
	if len(rec.LastHead) == 0 {
		return rec.Wanted
	}
	return append(slices.Clip(rec.Wanted), rec.LastHead)
}

// missing returns those of the heads that the log has to contain, and does not.
func (s *Sequencer) missing(rec registry.Recovery) (missing [][]byte, err error) {
	for _, note := range wanted(rec) {
		lacks, err := s.lacks(note)
		if err != nil {
			return nil, err
		}
		if lacks {
			missing = append(missing, note)
		}
	}
	return missing, nil
}

// settle ends an alarm that the log's end is lost once it is found, and the recovering once nothing is missing. canTell says
// that the caller is the one who would know: it serves the destination, and saw what is kept there.
func (s *Sequencer) settle(ctx context.Context, canTell bool, at time.Time) (recovering bool, err error) {
	rec, err := s.record()
	if err != nil {
		return false, err
	}
	missing, err := s.missing(rec)
	if err != nil {
		return false, err
	}
	size, _ := s.log.Position()
	if err := s.stopped(); err != nil {
		if len(missing) > 0 || size == 0 || !errors.Is(err, ErrTailLost) {
			return false, err
		}
		if err := s.registry.ClearAlarm(s.Origin(), registry.AlarmTailLost); err != nil {
			return false, err
		}
		s.logger.LogAttrs(ctx, slog.LevelInfo, "what was lost of the log was found: the alarm is cleared", slog.String("origin", string(s.Origin())))
	}
	switch {
	case !rec.Recovering:
		return false, nil
	case !canTell:
		return true, nil
	case len(missing) > 0 || size == 0:
		return true, s.tailLost(ctx, at, missing...)
	}
	return false, s.endRecovering(ctx, rec, at)
}

// tailLost raises the alarm that nobody can supply the heads, or anything of a log of which no head is known any more, and
// returns ErrTailLost.
func (s *Sequencer) tailLost(ctx context.Context, at time.Time, heads ...[]byte) error {
	size, _ := s.log.Position()
	message := fmt.Sprintf("the server signed %s of the log of %s/%s, which has %d entries now, and neither agent nor destination can supply the rest: "+
		"connect whoever else may hold it, or restart the log", sizes(heads), s.Origin().Tenant(), s.Origin().Destination(), size)
	if len(heads) == 0 {
		message = fmt.Sprintf("the log of %s/%s was begun once, nothing of it is left here, and the agent has nothing of it: "+
			"connect whoever else may hold it, or restart the log", s.Origin().Tenant(), s.Origin().Destination())
	}
	if err := s.raise(ctx, registry.AlarmTailLost, at, message, heads...); err != nil {
		return err
	}
	return fmt.Errorf("the log %s: %w", s.Origin(), ErrTailLost)
}

// nothingLeft is [Sequencer.tailLost] of all that an empty log once was.
func (s *Sequencer) nothingLeft(ctx context.Context, at time.Time) error {
	rec, err := s.record()
	if err != nil {
		return err
	}
	return s.tailLost(ctx, at, wanted(rec)...)
}

// fork raises the alarm that agents hold two histories, and returns ErrFork. It takes the place of the alarm that the log's end
// is lost, which is not so: one alarm says what people have to decide.
func (s *Sequencer) fork(ctx context.Context, at time.Time, heads ...[]byte) error {
	if err := s.registry.ClearAlarm(s.Origin(), registry.AlarmTailLost); err != nil && !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	message := fmt.Sprintf("two histories of the log of %s/%s were signed and handed out, %s: stop the agent that should not run, then restart the log",
		s.Origin().Tenant(), s.Origin().Destination(), sizes(heads))
	if err := s.raise(ctx, registry.AlarmFork, at, message, heads...); err != nil {
		return err
	}
	return fmt.Errorf("the log %s: %w", s.Origin(), ErrFork)
}

// sizes names heads in a sentence.
func sizes(heads [][]byte) string {
	var text strings.Builder
	text.WriteString("the heads of size")
	for i, note := range heads {
		h, _, _ := ledger.ParseHead(note)
		if i > 0 {
			text.WriteString(" and")
		}
		fmt.Fprintf(&text, " %d (%x)", h.Size, h.Root[:4])
	}
	return text.String()
}

// Cloned raises the alarm that a second process of the agent lives on after it was told to stop.
func (s *Sequencer) Cloned(ctx context.Context, agent string, at time.Time) error {
	return s.raise(ctx, registry.AlarmCloned, at, fmt.Sprintf("two processes with the keys of agent %s serve the destination %s of tenant %s: "+
		"find the second machine, stop it, and clear the alarm", agent, s.Origin().Destination(), s.Origin().Tenant()))
}

// countsDiffer raises the alarm that entries of an offer say other counts than the log adds up to, where there are such.
func (s *Sequencer) countsDiffer(ctx context.Context, alarms []ledger.Alarm, at time.Time) error {
	if len(alarms) == 0 {
		return nil
	}
	a := alarms[0]
	return s.raise(ctx, registry.AlarmCounts, at, fmt.Sprintf("the counts in %d closed entries that an agent handed in for the log of %s/%s are not what the log adds up to, "+
		"first those of manifest %d in entry %d: the states of its items are right, the numbers reported when it was closed were not; "+
		"see `wolkvox-server ledger verify`, and clear the alarm", len(alarms), s.Origin().Tenant(), s.Origin().Destination(), a.Manifest, a.Entry))
}

func (s *Sequencer) raise(ctx context.Context, kind registry.AlarmKind, at time.Time, message string, heads ...[]byte) error {
	raised, err := s.registry.RaiseAlarm(registry.Alarm{Origin: s.Origin(), Kind: kind, RaisedAt: at, Message: message, Heads: heads})
	if err == nil && raised {
		s.logger.LogAttrs(ctx, slog.LevelError, "alarm raised", slog.String("kind", kind.String()),
			slog.String("origin", string(s.Origin())), slog.String("message", message))
	}
	return err
}
