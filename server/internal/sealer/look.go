package sealer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/source"
)

// look is one look at a tenant's sources.
type look struct {
	sealer    *Sealer
	tenant    registry.Tenant
	zone      *time.Location
	places    []*place // all destinations of the tenant: a file is known if it is known in each
	scheduled bool
	latest    backup.Date // the last night that is sealed
	at        time.Time
	began     time.Time // of the look, by this machine's clock

	byNight   map[backup.Date]map[string][]source.Candidate // finished files by night and source
	left      map[backup.Date]bool                          // nights of files that were not sealed though they belong there
	unsettled int64
	problems  []string
	complete  bool
	reached   int // sources that were reachable
}

// Look looks once, at the instant at, and seals what is new and known to be finished by this and earlier looks. A
// scheduled look leaves the nights alone whose cut-off is still to come, and seals an empty manifest for every night before
// that has none, provided that all sources were proved reachable and all of them could be seen. Errors are those of [Sealer.Seal];
// what was sealed before the error stays sealed and is in the results.
func (s *Sealer) Look(ctx context.Context, tenant, destination string, scheduled bool, at time.Time) ([]Result, error) {
	t, err := s.registry.Tenant(tenant)
	if err != nil {
		return nil, err
	}
	zone, err := t.Location()
	if err != nil {
		return nil, err
	}
	places, err := s.destinations(tenant, destination)
	if err != nil {
		return nil, err
	}
	sources, err := s.registry.Sources(tenant)
	if err != nil {
		return nil, err
	}
	switch {
	case len(sources) == 0:
		return nil, fmt.Errorf("tenant %s: %w", tenant, ErrNoSource)
	case len(places) == 0:
		return nil, fmt.Errorf("tenant %s: %w", tenant, ErrNoDestination)
	}
	latest := backup.DateOf(at.In(zone))
	if scheduled {
		latest = cutOff(t, zone, at).AddDays(-1)
	}
	state := s.state(tenant)
	state.looking.Lock()
	defer state.looking.Unlock()
	l := &look{
		sealer: s, tenant: t, zone: zone, places: places, scheduled: scheduled, latest: latest, at: at, began: time.Now(), complete: true,
		byNight: map[backup.Date]map[string][]source.Candidate{}, left: map[backup.Date]bool{},
	}
	err = l.run(ctx, sources, state.looks)
	return l.results(), err
}

// now returns the instant of the look and what has passed since: hashing may take hours, and late sealing must not
// shorten anybody's time.
func (l *look) now() time.Time { return l.at.Add(time.Since(l.began)) }

func (l *look) results() []Result {
	var results []Result
	for _, p := range l.places {
		if p.chosen {
			results = append(results, Result{p.Destination, p.sealed, l.unsettled, l.problems, l.complete})
		}
	}
	return results
}

func (l *look) run(ctx context.Context, sources []registry.Source, looks map[string]*source.Looks) error {
	notNow, err := l.makeReady(ctx)
	if err != nil {
		return err
	}
	byName := map[string]registry.Source{}
	var unreachable error
	for _, one := range sources {
		byName[one.Name] = one
		if looks[one.Name] == nil {
			looks[one.Name] = source.NewLooks(l.tenant.Quiet)
		}
		if err := l.scan(ctx, one, looks[one.Name]); errors.Is(err, source.ErrUnreachable) {
			unreachable = err
			l.unseen(err.Error())
		} else if err != nil {
			return err
		}
	}
	if l.reached == 0 {
		return unreachable
	}
	for _, night := range slices.SortedFunc(maps.Keys(l.byNight), backup.Date.Compare) {
		files, err := l.hash(ctx, night, byName)
		if err != nil {
			return err
		}
		for _, p := range l.places {
			if p.chosen {
				if err := l.seal(ctx, p, night, files); err != nil {
					return err
				}
			}
		}
	}
	if l.scheduled && l.complete {
		if err := l.sealEmpty(ctx); err != nil {
			return err
		}
	}
	return notNow
}

// makeReady leaves the logs out of the look that cannot be written now, and returns why if there are any.
func (l *look) makeReady(ctx context.Context) (notNow, err error) {
	for _, p := range l.places {
		unlock := l.sealer.lock(p.Origin)
		err := l.sealer.ready(ctx, p)
		unlock()
		if err == nil {
			continue
		}
		if !errors.Is(err, sequencer.ErrRecovering) {
			return nil, err
		}
		if p.chosen {
			notNow = err
			l.sealer.logger.LogAttrs(ctx, slog.LevelInfo, "nothing is sealed now", slog.String("origin", string(p.Origin)), slog.Any("cause", err))
		}
		p.notReady, p.chosen = true, false
	}
	return notNow, nil
}

// scan finds the files of one source that are not known in every destination, and sorts the finished ones by night.
func (l *look) scan(ctx context.Context, one registry.Source, looks *source.Looks) error {
	tree, err := l.sealer.sources.Open(ctx, one)
	if err != nil {
		return err
	}
	defer tree.Close()
	var failed error
	found, err := tree.Scan(ctx, func(c source.Candidate) bool {
		known, err := l.known(one.Name+"/"+c.SourcePath, c.Identity)
		if failed == nil {
			failed = err
		}
		return known
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	l.reached++
	for _, p := range found.Problems {
		l.unseen(fmt.Sprintf("%q of source %s: %v", p.SourcePath, one.Name, p.Err))
	}
	for _, skipped := range found.Skipped {
		l.problem(fmt.Sprintf("%q of source %s is left out: %s", skipped.SourcePath, one.Name, skipped.Reason))
	}
	finished, writing := looks.Settle(found.Candidates, l.at)
	for _, c := range finished {
		night, ok := l.nightOf(c)
		if !ok {
			continue
		}
		if l.byNight[night] == nil {
			l.byNight[night] = map[string][]source.Candidate{}
		}
		l.byNight[night][one.Name] = append(l.byNight[night][one.Name], c)
	}
	for _, c := range writing {
		if night, ok := l.nightOf(c); ok {
			l.unsettled++
			l.left[night] = true
		}
	}
	return nil
}

// known reports whether every destination for which something can be sealed has this file as it looks now.
func (l *look) known(sourcePath string, now source.Identity) (bool, error) {
	for _, p := range l.places {
		if p.notReady {
			continue
		}
		record, found, err := l.sealer.catalog.Lookup(p.Origin, sourcePath)
		if err != nil || !found || record.Identity != identityOf(now) {
			return false, err
		}
	}
	return true, nil
}

func identityOf(i source.Identity) registry.Identity {
	kept := registry.Identity{SizeBytes: i.SizeBytes, ModTimeNs: i.ModTime.UnixNano(), Inode: i.Inode}
	if !i.ChangeTime.IsZero() {
		kept.ChangeTimeNs = i.ChangeTime.UnixNano()
	}
	return kept
}

// nightOf returns the night that a file is sealed under; false where it is not its turn yet. A file whose time cannot be
// told, or lies in the future, belongs to the latest night that this look seals.
func (l *look) nightOf(c source.Candidate) (backup.Date, bool) {
	night := source.NightOf(source.RecordedAt(c.ModTime), l.zone)
	if night.IsZero() || night.Compare(backup.DateOf(l.at.In(l.zone))) > 0 {
		return l.latest, true
	}
	return night, night.Compare(l.latest) <= 0
}

// hashed is a file with its contents' digest, of any source.
type hashed struct {
	sourcePath string // with the source's name
	identity   registry.Identity
	item       backup.Item // without its paths
}

// hash reads the files of a night that some destination does not know as they are. What could not be read stays for a
// later look.
func (l *look) hash(ctx context.Context, night backup.Date, sources map[string]registry.Source) ([]hashed, error) {
	var files []hashed
	for _, name := range slices.Sorted(maps.Keys(l.byNight[night])) {
		var own []hashed
		err := l.hashSource(ctx, sources[name], l.byNight[night][name], func(h source.Hashed) error {
			if h.Err != nil {
				l.notHashed(night, name, h)
				return nil
			}
			own = append(own, newHashed(name, h))
			return nil
		})
		if errors.Is(err, source.ErrUnreachable) {
			l.unseen(err.Error())
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, own...)
	}
	return files, nil
}

func newHashed(sourceName string, h source.Hashed) hashed {
	return hashed{sourceName + "/" + h.SourcePath, identityOf(h.Identity), backup.Item{
		Digest: h.Digest, Kind: h.Kind, RecordedAt: source.RecordedAt(h.ModTime),
	}}
}

func (l *look) hashSource(ctx context.Context, one registry.Source, candidates []source.Candidate, each func(source.Hashed) error) error {
	tree, err := l.sealer.sources.Open(ctx, one)
	if err != nil {
		return err
	}
	defer tree.Close()
	return tree.Hash(ctx, candidates, l.sealer.workers, each)
}

func (l *look) notHashed(night backup.Date, sourceName string, h source.Hashed) {
	switch {
	case errors.Is(h.Err, fs.ErrNotExist):
		return // it went away before it was announced
	case errors.Is(h.Err, source.ErrChanging):
		l.unsettled++
	default:
		l.problem(fmt.Sprintf("%q of source %s: %v", h.SourcePath, sourceName, h.Err))
	}
	l.left[night] = true
}

// unseen takes down that something was not seen, so that there may be files that nobody knows of.
func (l *look) unseen(problem string) {
	l.complete = false
	l.problem(problem)
}

func (l *look) problem(problem string) {
	l.sealer.logger.LogAttrs(context.Background(), slog.LevelWarn, "problem at a source", slog.String("tenant", l.tenant.Name), slog.String("problem", problem))
	if len(l.problems) < MaxProblems {
		l.problems = append(l.problems, problem)
	}
}
