package sequencer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/registry"
)

// Set has the sequencer of every destination. Its methods may be called concurrently.
type Set struct {
	options Options
	db      *store.DB

	mu       sync.RWMutex // guards what follows
	byOrigin map[ledger.Origin]*Sequencer
	former   map[ledger.Origin]*Sequencer // of logs that were restarted
}

// OpenSet opens the logs of all destinations in the registry, and begins those that never had a genesis. What was left of
// offers in o.Dir is removed.
func OpenSet(ctx context.Context, db *store.DB, o Options, at time.Time) (*Set, error) {
	set := &Set{options: o, db: db, byOrigin: map[ledger.Origin]*Sequencer{}, former: map[ledger.Origin]*Sequencer{}}
	if err := clearOffers(o.Dir); err != nil {
		return nil, err
	}
	destinations, err := o.Registry.Destinations("")
	if err != nil {
		return nil, fmt.Errorf("open the logs: %w", err)
	}
	for _, d := range destinations {
		if _, err := set.Add(ctx, d, at); err != nil {
			return nil, err
		}
	}
	return set, set.openFormer(ctx, at)
}

// Add opens the log of a destination that the registry has, begins it where it never had a genesis, and returns its
// sequencer. Added again it is the same.
func (s *Set) Add(ctx context.Context, d registry.Destination, at time.Time) (*Sequencer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.byOrigin[d.Origin]; known != nil {
		return known, nil
	}
	sequencer, err := s.open(d)
	if err != nil {
		return nil, err
	}
	if d.Agent != "" { // somebody enrolled, so there was a log
		if err := sequencer.remember(ctx, true); err != nil {
			return nil, fmt.Errorf("open the log %s: %w", d.Origin, err)
		}
	}
	if err := sequencer.Begin(ctx, d.Kind, d.Kind.WindowDays(), at); err != nil {
		return nil, fmt.Errorf("begin the log %s: %w", d.Origin, err)
	}
	s.byOrigin[d.Origin] = sequencer
	return sequencer, nil
}

// open opens the log of a destination.
func (s *Set) open(d registry.Destination) (*Sequencer, error) {
	keys, err := s.options.Registry.LogKeys(d.Origin)
	if err != nil {
		return nil, fmt.Errorf("open the log %s: %w", d.Origin, err)
	}
	log, err := s.db.Ledger(d.Origin)
	if err != nil {
		return nil, fmt.Errorf("open the log %s: %w", d.Origin, err)
	}
	sequencer, err := New(log, keys, s.options)
	if err != nil {
		return nil, err
	}
	if d.Previous.Size > 0 {
		sequencer.previous = &d.Previous
	}
	return sequencer, nil
}

// Of returns the sequencer of the log with this origin, also of one that was restarted; false where no destination has or
// had it.
func (s *Set) Of(origin ledger.Origin) (*Sequencer, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sequencer, ok := s.byOrigin[origin]
	if !ok {
		sequencer, ok = s.former[origin]
	}
	return sequencer, ok
}

// All returns all sequencers by origin, without those of logs that were restarted.
func (s *Set) All() []*Sequencer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Sequencer, 0, len(s.byOrigin))
	for _, sequencer := range s.byOrigin {
		all = append(all, sequencer)
	}
	slices.SortFunc(all, func(a, b *Sequencer) int { return strings.Compare(string(a.Origin()), string(b.Origin())) })
	return all
}

// Serves reports whether an agent of a tenant is the one last assigned in a log of it.
func (s *Set) Serves(tenant, agent string) bool {
	return slices.ContainsFunc(s.All(), func(seq *Sequencer) bool {
		name, _, ok := seq.Assigned()
		return ok && name == agent && seq.Origin().Tenant() == tenant
	})
}
