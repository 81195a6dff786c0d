// Package expiring knows who loses what soon, and why: it puts together what the ledgers, the reports of faults and the
// heartbeats say of recordings whose deadline comes near. It reads, and tells nobody: that is the affair of packages
// adminrpc and alerts.
package expiring

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/forecast"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// Reader reads what a server knows. Its fields are required and set before the first call; its methods may be called
// concurrently.
type Reader struct {
	Registry   *registry.Registry
	Sequencers *sequencer.Set
	// Heard returns the last heartbeat of an agent; its time is zero where it was never heard.
	Heard func(tenant, agent string) (registry.Heartbeat, error)
}

// Destination is what a destination has to lose.
type Destination struct {
	Origin  ledger.Origin
	Agent   string    // empty where none serves it
	HeardAt time.Time // zero where the agent was never heard
	Rate    forecast.Rate
	Pending []Manifest // by deadline
}

// Manifest is what is pending of a manifest, and what becomes of it.
type Manifest struct {
	forecast.Outlook
	Night backup.Date
	Fault *store.Fault // the last one of its recordings, or else of the destination as a whole; nil where there is none
}

// Each calls each for the destinations of a tenant, or of all where it is empty, at the instant at, as they stand in the
// registry: with those pending manifests whose deadline is before until, of which there is at least one. Bytes that are pending
// are exact. Destinations that ended, or are still being created, are left out. The error is [registry.ErrNotFound] for a
// tenant that does not exist.
func (r *Reader) Each(ctx context.Context, tenant string, at, until time.Time, each func(Destination) error) error {
	all, err := r.Registry.Destinations(tenant)
	if err != nil {
		return err
	}
	for _, d := range all {
		seq, open := r.Sequencers.Of(d.Origin)
		if !open || retired(seq.Ledger()) {
			continue
		}
		t, err := r.Registry.Tenant(d.Tenant)
		if err != nil {
			return err
		}
		found, err := r.destination(ctx, seq, t, at, until)
		if err != nil {
			return fmt.Errorf("look for what expires of %s: %w", d.Origin, err)
		}
		if len(found.Pending) == 0 {
			continue
		}
		if err := each(found); err != nil {
			return err
		}
	}
	return nil
}

func retired(log *store.Ledger) (ended bool) {
	log.View(func(l *ledger.Log) { ended = l.Retired })
	return ended
}

func (r *Reader) destination(ctx context.Context, seq *sequencer.Sequencer, t registry.Tenant, at, until time.Time) (Destination, error) {
	log := seq.Ledger()
	found := Destination{Origin: log.Origin()}
	backlogs, err := forecast.Backlogs(log)
	if err != nil || !slices.ContainsFunc(backlogs, func(b forecast.Backlog) bool { return b.Deadline.Before(until) }) {
		return found, err
	}
	zone, err := t.Location()
	if err != nil {
		return found, err
	}
	firstEnd := forecast.NextEnd(at, t.WindowEnd, zone)
	if found.Rate, err = forecast.Measure(ctx, log, firstEnd); err != nil {
		return found, err
	}
	if name, _, ok := seq.Assigned(); ok {
		heard, err := r.Heard(t.Name, name)
		if err != nil {
			return found, err
		}
		found.Agent, found.HeardAt = name, heard.At
	}
	for i := range backlogs {
		if b := &backlogs[i]; b.Deadline.Before(until) {
			if b.Bytes, err = forecast.PendingBytes(ctx, log, b.Manifest); err != nil {
				return found, err
			}
		}
	}
	whole, err := log.Faults(0)
	if err != nil {
		return found, err
	}
	for _, outlook := range forecast.Of(found.Rate, backlogs, firstEnd) {
		if !outlook.Deadline.Before(until) {
			break
		}
		m, err := manifest(log, outlook, whole)
		if err != nil {
			return found, err
		}
		found.Pending = append(found.Pending, m)
	}
	return found, nil
}

func manifest(log *store.Ledger, outlook forecast.Outlook, whole []store.ItemsFault) (Manifest, error) {
	m := Manifest{Outlook: outlook}
	log.View(func(l *ledger.Log) {
		if sealed, ok := l.Manifest(outlook.Manifest); ok {
			m.Night = sealed.Night
		}
	})
	fault, ok, err := log.LastFault(outlook.Manifest)
	switch {
	case err != nil:
		return m, err
	case ok:
		m.Fault = &fault
	case len(whole) > 0:
		m.Fault = &whole[0].Fault
	}
	return m, nil
}
