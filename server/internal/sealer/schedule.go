package sealer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

const (
	// period is how often is looked whether something is due.
	period = time.Minute
	// tryAgainAfter is when a cut-off is tried again that could not be worked off.
	tryAgainAfter = 10 * time.Minute
	// tenantsAtOnce is how many tenants' sources are looked at by the schedule at once.
	tenantsAtOnce = 4
)

// Run seals at every tenant's cut-off, closes what is due, and checks what [Sealer.RequestCheck] asks for, until ctx ends,
// whose cause it then returns.
func (s *Sealer) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.runSchedule(ctx) })
	group.Go(func() error { return s.runClosing(ctx) })
	group.Go(func() error { return s.runChecks(ctx) })
	group.Go(func() error { return s.runRebuilding(ctx) })
	return group.Wait()
}

// every calls f at once and then in every period, until ctx ends.
func every(ctx context.Context, period time.Duration, f func(at time.Time)) error {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		f(time.Now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *Sealer) runClosing(ctx context.Context) error {
	began := time.Now()
	return every(ctx, period, func(at time.Time) { s.CloseDue(ctx, at, at.Sub(began)) })
}

func (s *Sealer) runRebuilding(ctx context.Context) error {
	return every(ctx, period, func(time.Time) {
		if err := s.RebuildStale(ctx); err != nil && ctx.Err() == nil {
			s.logger.LogAttrs(ctx, slog.LevelError, "catalogs not made again", slog.Any("error", err))
		}
	})
}

// CloseDue closes, in all logs, the manifests that are due at the instant at of a server that has been up for uptime.
func (s *Sealer) CloseDue(ctx context.Context, at time.Time, uptime time.Duration) {
	for _, seq := range s.sequencers.All() {
		closed, err := seq.Close(ctx, at, uptime)
		for _, manifest := range closed {
			s.logger.LogAttrs(ctx, slog.LevelInfo, "manifest closed", slog.String("origin", string(seq.Origin())), slog.Int64("manifest", manifest))
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, sequencer.ErrRecovering) && !errors.Is(err, sequencer.ErrBusy) {
			s.logger.LogAttrs(ctx, slog.LevelError, "manifests not closed", slog.String("origin", string(seq.Origin())), slog.Any("error", err))
		}
	}
}

// cutOff returns the calendar date, in the tenant's zone, of its latest cut-off at the instant at: the nights before that
// date are to be sealed. Dates and not instants are counted, so that no night is skipped or doubled when clocks
// change; a cut-off that falls into a gap comes when the gap is over, or an hour earlier.
func cutOff(t registry.Tenant, zone *time.Location, at time.Time) backup.Date {
	date := backup.DateOf(at.In(zone))
	if at.Before(time.Date(date.Year, date.Month, date.Day, 0, 0, int(t.CutOff/time.Second), 0, zone)) {
		return date.AddDays(-1)
	}
	return date
}

// runSchedule works off the tenants' cut-offs. Which were worked off is not kept over a restart: a look that finds nothing
// new seals nothing, and a night that has its manifest gets no empty one.
func (s *Sealer) runSchedule(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	slots := make(chan struct{}, tenantsAtOnce)
	return every(ctx, period, func(at time.Time) {
		tenants, err := s.registry.Tenants()
		if err != nil {
			s.logger.LogAttrs(ctx, slog.LevelError, "tenants not read", slog.Any("error", err))
			return
		}
		for _, t := range tenants {
			zone, err := t.Location()
			if err != nil {
				s.logger.LogAttrs(ctx, slog.LevelError, "cut-off not known", slog.String("tenant", t.Name), slog.Any("error", err))
				continue
			}
			date := cutOff(t, zone, at)
			if !s.claim(t.Name, date, at) {
				continue
			}
			group.Go(func() {
				select {
				case slots <- struct{}{}:
					defer func() { <-slots }()
				case <-ctx.Done():
				}
				err := s.workOff(ctx, t)
				if err != nil && ctx.Err() == nil && !notSetUp(err) && !errors.Is(err, sequencer.ErrRecovering) {
					s.logger.LogAttrs(ctx, slog.LevelError, "night not sealed", slog.String("tenant", t.Name), slog.Any("error", err))
				}
				s.release(t.Name, date, err, at)
				if err := s.announcements.Prune(t.Name, date.AddDays(-KeptNights)); err != nil {
					s.logger.LogAttrs(ctx, slog.LevelError, "old announcements not removed", slog.String("tenant", t.Name), slog.Any("error", err))
				}
			})
		}
	})
}

// claim reports whether the cut-off of a date is to be worked off now, and by the caller.
func (s *Sealer) claim(tenant string, date backup.Date, at time.Time) bool {
	state := s.state(tenant)
	s.mu.Lock()
	defer s.mu.Unlock()
	if state.running || !state.done.IsZero() && date.Compare(state.done) <= 0 || at.Before(state.next) {
		return false
	}
	state.running = true
	return true
}

func (s *Sealer) release(tenant string, date backup.Date, err error, at time.Time) {
	state := s.state(tenant)
	s.mu.Lock()
	defer s.mu.Unlock()
	state.running = false
	switch {
	case err == nil:
		state.done = date
	case !notSetUp(err):
		state.next = at.Add(tryAgainAfter)
	}
}

// notSetUp reports whether a tenant has nothing to seal from, or for, yet or any more.
func notSetUp(err error) bool {
	return errors.Is(err, ErrNoSource) || errors.Is(err, ErrNoDestination) || errors.Is(err, ErrEnded)
}

// errIncomplete says that not all of the sources could be seen.
var errIncomplete = errors.New("not all of the sources could be seen")

// workOff looks twice, the quiet time apart, where something is still being written.
func (s *Sealer) workOff(ctx context.Context, t registry.Tenant) error {
	results, err := s.Look(ctx, t.Name, "", true, time.Now())
	if err == nil && anyUnsettled(results) {
		if err := sleep(ctx, max(t.Quiet, minimalRest)); err != nil {
			return err
		}
		results, err = s.Look(ctx, t.Name, "", true, time.Now())
	}
	if err != nil {
		return err
	}
	for _, r := range results {
		if !r.Complete {
			return errIncomplete
		}
	}
	return nil
}
