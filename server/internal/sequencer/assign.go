package sequencer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
)

// AssignedError says that another agent serves the destination.
type AssignedError struct {
	Origin ledger.Origin
	Agent  string // the one that serves it
}

// Error names the agent and the remedy.
func (e *AssignedError) Error() string {
	return fmt.Sprintf("the destination %s of tenant %s is served by agent %s already: use that agent, or create another destination",
		e.Origin.Destination(), e.Origin.Tenant(), e.Agent)
}

// Assigned returns the name and the key of the agent that serves the destination; false where none was assigned.
func (s *Sequencer) Assigned() (agent string, key ledger.Verifier, ok bool) {
	s.log.View(func(log *ledger.Log) { key = log.AgentKey })
	_, agent, err := ledger.ParseAgentKeyName(key.Name())
	return agent, key, err == nil
}

// Speaks reports whether the agent is one whose word ends the recovering of the log: the one that serves the destination, or
// the one that was let in for it last, whose assigned may be what was lost. Where neither is known, it is any.
func (s *Sequencer) Speaks(agent string) (bool, error) {
	current, _, ok := s.Assigned()
	if ok && current == agent {
		return true, nil
	}
	d, err := s.registry.DestinationOf(s.Origin())
	if err != nil {
		return false, fmt.Errorf("look for the agent of %s: %w", s.Origin(), err)
	}
	return d.Agent == agent || d.Agent == "" && !ok, nil
}

// Assign lets the agent that signed the request serve the destination; it takes the place of the agent named replaces,
// which is empty where none serves yet. It does nothing where that key is assigned already. The error is an
// [*AssignedError] where another agent serves the destination, and wraps [ErrRetired] where the log has ended, and
// [ErrRecovering] where nothing may be written. Where nothing is left of the log that is also an alarm, since who is let in
// anew holds nothing of it.
func (s *Sequencer) Assign(ctx context.Context, request ledger.Request, replaces string, at time.Time) error {
	if request.Origin != s.Origin() {
		return fmt.Errorf("assign the destination %s: the request is for %s", s.Origin(), request.Origin)
	}
	_, wanted, err := ledger.ParseAgentKeyName(request.AgentKey.Name())
	if err != nil {
		return fmt.Errorf("assign the destination %s: %w", s.Origin(), err)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.mayWrite(); err != nil {
		if size, _ := s.log.Position(); size == 0 && errors.Is(err, ErrRecovering) {
			err = fmt.Errorf("%w: %w", err, s.nothingLeft(ctx, at))
		}
		return err
	}
	agent, key, ok := s.Assigned()
	switch {
	case ok && key == request.AgentKey:
		return nil
	case ok && agent != wanted && agent != replaces:
		return &AssignedError{Origin: s.Origin(), Agent: agent}
	case s.Retired():
		return fmt.Errorf("assign the destination %s: %w", s.Origin(), ErrRetired)
	}
	return s.append(ctx, at, ledger.Assigned{Request: request})
}
