// Package sealer turns what lies in the tenants' sources into sealed manifests: it looks at the sources, hashes what is
// new and finished, gives it portable and distinct names, and seals it by night; it withdraws what changed or was lost
// after sealing, and has manifests closed when they are due. It is incremental: what was sealed, and still looks the
// same, is not read again.
//
// A manifest is staged, then its records are written to the catalog, then it is sealed. What a crash leaves in between
// is taken back at the next attempt. Unreachable is not missing: a source that cannot be proved yields no empty night and
// no withdrawal.
//
// It appends nothing itself and serves no contents.
package sealer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/source"
	"github.com/wolkvox/backup/server/internal/sources"
)

var (
	// ErrNoSource says that a tenant has no source to look at.
	ErrNoSource = errors.New("the tenant has no source: add one")
	// ErrNoDestination says that a tenant has no destination to seal for.
	ErrNoDestination = errors.New("the tenant has no destination: create one")
	// ErrEnded says that a tenant or destination was retired.
	ErrEnded = errors.New("it has ended, and nothing is sealed for it any more")
)

// Options of [New]. The zero value is what a program uses.
type Options struct {
	Workers int          // files hashed at once; 0 is one for each CPU
	Logger  *slog.Logger // nil: silent
	// Sources opens the tenants' sources; nil: one of the sealer's own, whose connections last as long as the program.
	Sources *sources.Opener
}

// Sealer seals for all tenants. Its methods may be called concurrently.
type Sealer struct {
	registry   *registry.Registry
	catalog    *registry.Catalog
	sequencers *sequencer.Set
	sources    *sources.Opener
	workers    int
	logger     *slog.Logger
	checks     checks

	mu      sync.Mutex // guards what follows
	tenants map[string]*tenantState
	staging map[ledger.Origin]*sync.Mutex // held while a manifest of the log is staged, cataloged and sealed
}

// tenantState is what is remembered of a tenant between looks.
type tenantState struct {
	looking sync.Mutex               // held during a look; guards looks
	looks   map[string]*source.Looks // by source

	// Of the schedule's loop alone:
	done    backup.Date // the latest cut-off that was worked off
	next    time.Time   // not before is the schedule's work tried again
	running bool
}

// New returns a sealer. Its [Sealer.Run] is needed for the schedule, for closing and for checks.
func New(r *registry.Registry, sequencers *sequencer.Set, options Options) *Sealer {
	if options.Workers == 0 {
		options.Workers = runtime.GOMAXPROCS(0)
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Sources == nil {
		options.Sources = &sources.Opener{}
	}
	return &Sealer{
		registry: r, catalog: r.Catalog(), sequencers: sequencers, sources: options.Sources, workers: options.Workers, logger: options.Logger,
		checks: newChecks(), tenants: map[string]*tenantState{}, staging: map[ledger.Origin]*sync.Mutex{},
	}
}

func (s *Sealer) state(tenant string) *tenantState {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	if t == nil {
		t = &tenantState{looks: map[string]*source.Looks{}}
		s.tenants[tenant] = t
	}
	return t
}

// lock makes the caller the only one who stages manifests of a log; unlock has to be called.
func (s *Sealer) lock(origin ledger.Origin) (unlock func()) {
	s.mu.Lock()
	m := s.staging[origin]
	if m == nil {
		m = &sync.Mutex{}
		s.staging[origin] = m
	}
	s.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// Result is what one look, or several, did for one destination.
type Result struct {
	Destination registry.Destination
	Sealed      []int64 // numbers of manifests
	// Of the last look:
	UnsettledCount int64    // files that are still being written
	Problems       []string // one sentence each, at most [MaxProblems]
	Complete       bool     // every source was reachable and all of it could be seen
}

// MaxProblems is how many problems a [Result] names.
const MaxProblems = 100

// Seal looks at a tenant's sources now and seals everything that is new and finished, for one destination or, where
// destination is empty, for all. A file is finished when an earlier look, at least the quiet time after its last
// change, found it equal; wait is to look twice, the quiet time apart. Errors: registry.ErrNotFound for tenant and
// destination, [ErrNoSource], [ErrNoDestination], [ErrEnded], [source.ErrUnreachable] where no source can be reached, and
// [sequencer.ErrRecovering] where a log cannot be written now: the others were sealed all the same.
func (s *Sealer) Seal(ctx context.Context, tenant, destination string, wait bool) ([]Result, error) {
	results, err := s.Look(ctx, tenant, destination, false, time.Now())
	if err != nil || !wait || !anyUnsettled(results) {
		return results, err
	}
	t, err := s.registry.Tenant(tenant)
	if err != nil {
		return results, err
	}
	if err := sleep(ctx, max(t.Quiet, minimalRest)); err != nil {
		return results, err
	}
	again, err := s.Look(ctx, tenant, destination, false, time.Now())
	return merge(results, again), err
}

// minimalRest is how far apart two looks are at least: a file system's clock may tick no faster.
const minimalRest = 20 * time.Millisecond

func anyUnsettled(results []Result) bool {
	for _, r := range results {
		if r.UnsettledCount > 0 {
			return true
		}
	}
	return false
}

// merge adds what an earlier look sealed to the results of a later one, which has the same destinations.
func merge(earlier, later []Result) []Result {
	if len(later) != len(earlier) {
		return later
	}
	for i := range later {
		later[i].Sealed = append(earlier[i].Sealed, later[i].Sealed...)
	}
	return later
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// destinations returns the destinations of a tenant that have not ended, with their sequencers; those chosen are the one
// named, or all where name is empty.
func (s *Sealer) destinations(tenant, name string) ([]*place, error) {
	if _, ended, err := s.registry.TenantEnded(tenant); err != nil {
		return nil, err
	} else if ended {
		return nil, fmt.Errorf("tenant %s: %w", tenant, ErrEnded)
	}
	all, err := s.registry.Destinations(tenant)
	if err != nil {
		return nil, err
	}
	var places []*place
	for _, d := range all {
		seq, ok := s.sequencers.Of(d.Origin)
		if !ok {
			return nil, fmt.Errorf("the log %s is not open", d.Origin)
		}
		if seq.Retired() {
			if d.Name == name {
				return nil, fmt.Errorf("destination %s of tenant %s: %w", name, tenant, ErrEnded)
			}
			continue
		}
		places = append(places, &place{Destination: d, seq: seq, chosen: name == "" || name == d.Name})
	}
	if name != "" {
		if _, err := s.registry.Destination(tenant, name); err != nil {
			return nil, err
		}
	}
	return places, nil
}

// place is a destination in one look.
type place struct {
	registry.Destination
	seq    *sequencer.Sequencer
	chosen bool // something is sealed for it in this look
	sealed []int64

	notReady bool // its log cannot be written now
}
