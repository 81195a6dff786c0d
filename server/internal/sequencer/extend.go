package sequencer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// Extension is a deadline that is moved, or why it cannot be.
type Extension struct {
	Manifest     int64
	Old, New     time.Time
	PendingCount int64  // items that are pending again, or still
	Problem      string // a sentence; empty where it is moved
}

// Extend gives manifests later deadlines, for a reason ([ledger.ExtendedOutage] or [ledger.ExtendedCourtesy]). choose is
// called for each manifest in turn, with the number of its items that are pending or would be again; it says what becomes of
// it, and false where it is none of those meant. What it says with a problem is returned and not done. prepare, where it is
// not nil, is called with what is going to be done before the first of it is. Nothing else is appended meanwhile. With
// dryRun nothing is done. The error wraps [ErrRecovering] where nothing may be written.
func (s *Sequencer) Extend(ctx context.Context, reason string, dryRun bool, at time.Time,
	choose func(m ledger.Manifest, pending int64) (Extension, bool), prepare func([]Extension) error) ([]Extension, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.mayWrite(); err != nil {
		return nil, err
	}
	chosen, err := s.chosen(choose)
	if err != nil || dryRun {
		return chosen, err
	}
	good := slices.DeleteFunc(slices.Clone(chosen), func(e Extension) bool { return e.Problem != "" })
	if len(good) > 0 && prepare != nil {
		if err := prepare(good); err != nil {
			return nil, err
		}
	}
	for part := range slices.Chunk(good, closedAtOnce) {
		var bodies []ledger.Body
		for _, e := range part {
			m, _ := s.Manifest(e.Manifest)
			bodies = append(bodies, ledger.Extended{Manifest: m.Number, Root: m.Root, Deadline: e.New, Reason: reason})
		}
		if err := s.append(ctx, at, bodies...); err != nil {
			return nil, fmt.Errorf("extend deadlines of %s: %w", s.Origin(), err)
		}
	}
	return chosen, nil
}

// chosen returns what choose says of all manifests. What does not move a deadline later has a problem.
func (s *Sequencer) chosen(choose func(m ledger.Manifest, pending int64) (Extension, bool)) (all []Extension, err error) {
	s.log.View(func(log *ledger.Log) {
		for _, m := range log.Manifests {
			var counts ledger.Counts
			if counts, err = s.log.Counts(m.Number); err != nil {
				return
			}
			e, is := choose(m, counts[backup.Pending]+counts[backup.Expired])
			if !is {
				continue
			}
			e.New = e.New.UTC().Truncate(time.Second)
			switch {
			case e.Problem != "":
			case log.Retired:
				e.Problem = "the destination has ended"
			case !e.New.After(m.Deadline):
				e.Problem = fmt.Sprintf("its deadline is %s already", m.Deadline.UTC().Format(time.RFC3339))
			}
			all = append(all, e)
		}
	})
	return all, err
}

// Retire ends the log, for a reason ([ledger.RetiredEnded] and so on). Where it has ended before, it does nothing. The
// error wraps [ErrRecovering] where nothing may be written.
func (s *Sequencer) Retire(ctx context.Context, reason string, at time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.Retired() {
		return nil
	}
	if err := s.mayWrite(); err != nil {
		return err
	}
	return s.append(ctx, at, ledger.Retired{Reason: reason})
}
