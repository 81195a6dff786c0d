package sequencer

import (
	"context"
	"fmt"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// patience is for how long the server has to be up beyond a deadline before it closes for an agent that it has not
// heard.
const patience = 24 * time.Hour

// closedAtOnce is how many manifests are closed in one transaction.
const closedAtOnce = 64

// Close closes the manifests whose deadline has passed at the instant at, and returns their numbers. It waits until the
// agent was heard, with a server time later than the deadline and an empty outbox ([Sequencer.Heard]), or until the
// server, up for uptime, was up for 24 hours beyond the deadline. The error wraps [ErrRecovering] where manifests are due
// and nothing may be written.
func (s *Sequencer) Close(ctx context.Context, at time.Time, uptime time.Duration) ([]int64, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	var closed []int64
	for {
		bodies, numbers, err := s.due(at, uptime)
		if err != nil || len(bodies) == 0 {
			return closed, err
		}
		if err := s.mayWrite(); err != nil {
			return closed, err
		}
		if err := s.append(ctx, at, bodies...); err != nil {
			return closed, err
		}
		closed = append(closed, numbers...)
	}
}

// due returns the closed of manifests that are due, not more than are closed at once.
func (s *Sequencer) due(at time.Time, uptime time.Duration) (bodies []ledger.Body, numbers []int64, err error) {
	s.mu.Lock()
	heard := s.heard
	s.mu.Unlock()
	s.log.View(func(log *ledger.Log) {
		for _, m := range log.Manifests {
			waited := heard.After(m.Deadline) || min(uptime, at.Sub(m.Deadline)) >= patience
			if log.Retired || !m.Open || at.Before(m.Deadline) || !waited || len(bodies) == closedAtOnce {
				continue
			}
			var counts ledger.Counts
			if counts, err = s.log.Counts(m.Number); err != nil {
				return
			}
			counts[backup.Expired] += counts[backup.Pending]
			counts[backup.Pending] = 0
			bodies = append(bodies, ledger.Closed{Manifest: m.Number, Root: m.Root, Counts: counts})
			numbers = append(numbers, m.Number)
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("close manifests of %s: %w", s.Origin(), err)
	}
	return bodies, numbers, nil
}
