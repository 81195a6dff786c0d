package sequencer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
)

// ErrSound says that a log goes on, so that there is no cause to restart it.
var ErrSound = errors.New("the log goes on")

// Restart gives the destination whose log has this origin a new log that continues it: the genesis of the new one names the
// greatest head that is known of the old one, which is retired and stays open to be read. It is for a log that cannot go on:
// one that recovers, or for which an alarm stands that stops it. For another one the error is [ErrSound]. A crash leaves
// either log whole, and what is left to do is done when the set is opened.
func (s *Set) Restart(ctx context.Context, origin ledger.Origin, at time.Time) (registry.Destination, *Sequencer, error) {
	failed := func(err error) (registry.Destination, *Sequencer, error) {
		return registry.Destination{}, nil, fmt.Errorf("restart the log %s: %w", origin, err)
	}
	old, ok := s.Of(origin)
	if !ok {
		return failed(registry.ErrNotFound)
	}
	d, err := s.end(old, at)
	if err != nil {
		return failed(err)
	}
	next, err := s.Add(ctx, d, at)
	if err != nil {
		return failed(err)
	}
	s.mu.Lock()
	delete(s.byOrigin, origin)
	s.former[origin] = old
	s.mu.Unlock()
	return d, next, old.retireLost(ctx, at)
}

// end gives the destination of a log that cannot go on a new one, in the registry.
func (s *Set) end(old *Sequencer, at time.Time) (d registry.Destination, err error) {
	old.writing.Lock() // nothing of it is found meanwhile
	defer old.writing.Unlock()
	if err := old.mayWrite(); err == nil {
		return d, ErrSound
	} else if !errors.Is(err, ErrRecovering) {
		return d, err
	}
	last, err := old.lastKnown()
	if err != nil {
		return d, err
	}
	if d, err = s.options.Registry.RestartDestination(old.Origin(), last, at); err == nil {
		old.continued = true
	}
	return d, err
}

// openFormer opens the logs that were restarted, to be read, and retires those that a crash kept from it.
func (s *Set) openFormer(ctx context.Context, at time.Time) error {
	former, err := s.options.Registry.FormerDestinations()
	if err != nil {
		return fmt.Errorf("open the logs that were restarted: %w", err)
	}
	for _, d := range former {
		old, err := s.open(d)
		if err != nil {
			return err
		}
		old.continued = true
		if err := old.retireLost(ctx, at); err != nil {
			return err
		}
		s.former[d.Origin] = old
	}
	return nil
}

// lastKnown returns the greatest head that is known of the log: its own, or one that was signed and is not in it any more. It is
// zero where nothing is known.
func (s *Sequencer) lastKnown() (last ledger.KnownHead, err error) {
	rec, err := s.record()
	if err != nil {
		return last, err
	}
	notes := append(rec.Wanted, rec.LastHead)
	for _, kind := range []registry.AlarmKind{registry.AlarmFork, registry.AlarmTailLost} {
		a, err := s.registry.Alarm(s.Origin(), kind)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return last, err
		}
		notes = append(notes, a.Heads...)
	}
	if size, root := s.log.Position(); size > 0 {
		last = ledger.KnownHead{Origin: s.Origin(), Size: size, Root: root}
	}
	for _, note := range notes {
		if len(note) == 0 {
			continue
		}
		head, _, err := ledger.ParseHead(note)
		if err != nil {
			return last, err
		}
		if head.Size > last.Size {
			last = ledger.KnownHead(head)
		}
	}
	return last, nil
}

// retireLost ends a log that another one continues, where it has anything to end.
func (s *Sequencer) retireLost(ctx context.Context, at time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.retireContinued(ctx, at)
}

// retireContinued is [Sequencer.retireLost] for those who hold s.writing. It does nothing to a log that no other one continues.
func (s *Sequencer) retireContinued(ctx context.Context, at time.Time) error {
	if size, _ := s.log.Position(); size == 0 || !s.continued || s.Retired() {
		return nil
	}
	return s.append(ctx, at, ledger.Retired{Reason: ledger.RetiredTailLost})
}
