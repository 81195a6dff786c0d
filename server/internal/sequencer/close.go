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

// closedAtOnce is how many manifests are closed, or extended, in one transaction.
const closedAtOnce = 64

// hearing is the latest heartbeat that lets manifests be closed: with an empty outbox, of the agent assigned, in its current
// session. It stands for nothing any more once another key is assigned, or another session is opened.
type hearing struct {
	key     ledger.Verifier
	session int64
	echoed  time.Time // the server's time
}

// overdue is since when it was seen that a deadline has passed.
type overdue struct {
	deadline time.Time
	uptime   time.Duration
}

// Heard takes down that the agent of this name reported in a session, at the instant at, that its outbox is empty, and which
// time of the server it had heard when it looked there. It counts for nothing if the agent is not the one assigned, or
// the session not its current one; nor does a time that the server cannot have said yet.
func (s *Sequencer) Heard(agent string, session int64, echoed, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, key, ok := s.Assigned()
	if !ok || name != agent || session != s.log.CurrentSession() || echoed.After(at) {
		return
	}
	if s.heard.key != key || s.heard.session != session || echoed.After(s.heard.echoed) {
		s.heard = hearing{key, session, echoed}
	}
}

// heardSince returns the latest time of the server that the agent assigned echoed in its current session, with an empty
// outbox; zero where there is none. s.mu is held.
func (s *Sequencer) heardSince() time.Time {
	_, key, ok := s.Assigned()
	if !ok || s.heard.key != key || s.heard.session != s.log.CurrentSession() {
		return time.Time{}
	}
	return s.heard.echoed
}

// Close closes the manifests whose deadline has passed at the instant at, and returns their numbers. It waits until the
// agent was heard, with a server time later than the deadline and an empty outbox ([Sequencer.Heard]), or until the
// server was up for 24 hours since Close first saw that the deadline had passed: uptime is for how long the server
// has been up, by a clock that nobody sets. The error wraps
// [ErrRecovering] where manifests are due and nothing may be written, and is [ErrBusy] where somebody else writes to the log,
// which may take long.
func (s *Sequencer) Close(ctx context.Context, at time.Time, uptime time.Duration) ([]int64, error) {
	if !s.writing.TryLock() {
		return nil, fmt.Errorf("close manifests of %s: %w", s.Origin(), ErrBusy)
	}
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
	defer s.mu.Unlock()
	heard := s.heardSince()
	s.log.View(func(log *ledger.Log) {
		for _, m := range log.Manifests {
			if log.Retired || !m.Open || at.Before(m.Deadline) {
				delete(s.overdue, m.Number)
				continue
			}
			if len(bodies) == closedAtOnce || !s.waited(m, uptime) && !heard.After(m.Deadline) {
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

// waited reports whether the server was up for long enough since it was first seen that the deadline of m has passed. A
// deadline that was moved meanwhile is another one. s.mu is held.
func (s *Sequencer) waited(m ledger.Manifest, uptime time.Duration) bool {
	since, seen := s.overdue[m.Number]
	if !seen || !since.deadline.Equal(m.Deadline) {
		since = overdue{m.Deadline, uptime}
		s.overdue[m.Number] = since
	}
	return uptime-since.uptime >= patience
}
