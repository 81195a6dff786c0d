package dest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/wolkvox/backup"
)

// Store is one destination, for the life of the process. It is safe for concurrent use and holds no handle.
type Store struct {
	opener   Opener
	label    string
	origin   string
	previous func() string // nil where the log continues none; see Continue

	remarking sync.Mutex // held while the marker is made this log's
}

// New returns the destination that opener opens and that belongs to the log with this origin. The label names
// the place to people, as it is configured. One process uses one opener for a place: see [Place.SweepStaging].
func New(opener Opener, label, origin string) (*Store, error) {
	if err := checkOrigin(origin); err != nil {
		return nil, fmt.Errorf("destination %s: %w", label, err)
	}
	return &Store{opener: opener, label: label, origin: origin}, nil
}

// Origin returns the origin of the log that the destination belongs to.
func (s *Store) Origin() string { return s.origin }

// Continue makes the store accept a place that carries the marker of another log: the one whose origin previous returns,
// empty where none is known. previous must be certain, as from a genesis that was verified. Whoever opens such a place makes it
// this log's: what stands beside the marker gets other names, and the recordings stay as they are. It is called before the
// store is used.
func (s *Store) Continue(previous func() string) { s.previous = previous }

// Open opens a handle and proves by the marker, read through it, that this is the log's destination. The errors
// are [ErrUnreachable], [ErrNoMarker], [ErrForeignMarker], [ErrMarker], or that of ctx. The caller closes the Place.
func (s *Store) Open(ctx context.Context) (*Place, error) {
	place, err := s.handle(ctx)
	if err != nil {
		return nil, err
	}
	if err := place.takeOver(ctx, place.CheckMarker(ctx)); err != nil {
		return nil, errors.Join(err, place.Close())
	}
	return place, nil
}

// CheckMarker opens a handle, checks the marker and closes the handle; the errors are those of [Store.Open].
func (s *Store) CheckMarker(ctx context.Context) error {
	place, err := s.Open(ctx)
	if err != nil {
		return err
	}
	return place.Close()
}

// Init proves that the place can do what safe copying needs, writes the marker, and returns it. Where the place
// already carries a marker of this log, or of the one that it continues, that one is returned and no other is made. It returns
// [ErrForeignMarker] or [ErrMarker] where it carries another, [ErrUnsuitable] where it cannot write durably or
// rename without replacing, and [ErrUnreachable]; it never makes the folder itself, which might be a mount point.
func (s *Store) Init(ctx context.Context) (Marker, error) {
	place, err := s.handle(ctx)
	if err != nil {
		return Marker{}, err
	}
	defer place.Close()
	marker, err := place.readMarker(ctx)
	if errors.Is(err, ErrForeignMarker) {
		if err = place.takeOver(ctx, err); err == nil {
			marker, err = place.readMarker(ctx)
		}
	}
	if err == nil || !errors.Is(err, ErrNoMarker) {
		return marker, err
	}
	if err := place.probe(ctx); err != nil {
		return Marker{}, fmt.Errorf("%w: %s: %w", ErrUnsuitable, s.label, err)
	}
	marker = NewMarker(s.origin)
	if err := place.able.WriteOwn(ctx, string(markerFile), marker.Format()); err != nil {
		return Marker{}, fmt.Errorf("write the marker of %s: %w", s.label, err)
	}
	return marker, nil
}

func (s *Store) handle(ctx context.Context) (*Place, error) {
	driver, err := s.opener.Open(ctx)
	if err != nil {
		return nil, s.unreachable(ctx, err)
	}
	able, err := abilitiesOf(driver)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("destination %s: %w", s.label, err), driver.Close())
	}
	return &Place{store: s, driver: driver, able: able}, nil
}

// unreachable makes err an ErrUnreachable unless it is one already, or the caller's own cancellation.
func (s *Store) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrUnreachable) {
		return err
	}
	return &UnreachableError{Place: s.label, Cause: err}
}

// readMarker returns this log's marker, or one of the errors of [Store.Open].
func (p *Place) readMarker(ctx context.Context) (Marker, error) {
	text, err := p.able.ReadOwn(ctx, string(markerFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Marker{}, fmt.Errorf("%s: %w", p.store.label, ErrNoMarker)
	case err != nil:
		return Marker{}, p.store.unreachable(ctx, fmt.Errorf("read the marker: %w", err))
	}
	marker, err := ParseMarker(text)
	if err != nil {
		return Marker{}, fmt.Errorf("%s: %w", p.store.label, err)
	}
	if marker.Origin != p.store.origin {
		return Marker{}, fmt.Errorf("%s: %w", p.store.label, &ForeignMarkerError{Want: p.store.origin, Found: marker.Origin})
	}
	return marker, nil
}

// takeOver makes the place this log's where its marker is of the log that this one continues; any other err is returned as
// it is. The marker is written last: what a crash left half done is done again.
func (p *Place) takeOver(ctx context.Context, err error) error {
	foreign, isForeign := errors.AsType[*ForeignMarkerError](err)
	if !isForeign || p.store.previous == nil || foreign.Found != p.store.previous() {
		return err
	}
	p.store.remarking.Lock()
	defer p.store.remarking.Unlock()
	text, err := p.able.ReadOwn(ctx, string(markerFile))
	if err != nil {
		return p.store.unreachable(ctx, fmt.Errorf("read the marker: %w", err))
	}
	marker, err := ParseMarker(text)
	if err != nil || marker.Origin != foreign.Found { // somebody was faster
		return errors.Join(err, p.CheckMarker(ctx))
	}
	for _, file := range []OwnFile{Head, LastDelivered} {
		if err := p.SetAsideOwn(ctx, file, path.Base(marker.Origin)); err != nil { // named by the log id
			return err
		}
	}
	marker.Origin = p.store.origin
	if err := p.able.WriteOwn(ctx, string(markerFile), marker.Format()); err != nil {
		return fmt.Errorf("write the marker of %s: %w", p.store.label, err)
	}
	return nil
}

// probe tries, below the own folder, what copying relies upon: writing durably, and that a name that is taken
// is neither replaced nor taken for free.
func (p *Place) probe(ctx context.Context) (err error) {
	const own, name = "probe", backup.OwnPrefix + "/probe"
	if err := p.able.RemoveOwn(ctx, own); err != nil {
		return fmt.Errorf("remove what an earlier probe left: %w", err)
	}
	defer func() { err = errors.Join(err, p.able.RemoveOwn(context.WithoutCancel(ctx), own)) }()
	const first, second = "first", "second"
	if p.able.stager == nil {
		if err := p.driver.Put(ctx, name, strings.NewReader(first), int64(len(first)), Absent); err != nil {
			return fmt.Errorf("store a file: %w", err)
		}
		if err := p.driver.Put(ctx, name, strings.NewReader(second), int64(len(second)), Absent); !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("store a file only if absent: got %w where the name is taken", orNoError(err))
		}
	} else if err := p.probeStage(ctx, name, first, second); err != nil {
		return err
	}
	got, err := p.able.ReadOwn(ctx, own)
	if err != nil || string(got) != first {
		return fmt.Errorf("read back what was stored: %q, %w", got, orNoError(err))
	}
	return nil
}

func (p *Place) probeStage(ctx context.Context, name, first, second string) error {
	stage, err := p.able.stager.NewStage(ctx)
	if err != nil {
		return fmt.Errorf("make a staging folder: %w", err)
	}
	defer stage.Discard()
	for _, content := range []string{first, second} {
		file, err := stage.Create(ctx, content, int64(len(content)))
		if err != nil {
			return fmt.Errorf("stage a file: %w", err)
		}
		if _, err := file.Write([]byte(content)); err != nil {
			return errors.Join(fmt.Errorf("write a file: %w", err), file.Discard())
		}
		if err := file.Close(); err != nil {
			return fmt.Errorf("close a file: %w", err)
		}
	}
	if err := stage.Sync(ctx); err != nil {
		return fmt.Errorf("make files durable: %w", err)
	}
	if err := stage.Publish(ctx, []Move{{Key: first, Name: name}})[0]; err != nil {
		return fmt.Errorf("rename a file without replacing: %w", err)
	}
	if err := stage.Publish(ctx, []Move{{Key: second, Name: name}})[0]; !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("rename a file without replacing: got %w where the name is taken", orNoError(err))
	}
	if err := stage.SyncNames(ctx); err != nil {
		return fmt.Errorf("make names durable: %w", err)
	}
	return nil
}

var errNone = errors.New("no error")

// orNoError puts words where an error was due and none came.
func orNoError(err error) error {
	if err == nil {
		return errNone
	}
	return err
}
