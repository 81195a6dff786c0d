package dest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
)

// Store is one destination, for the life of the process. It is safe for concurrent use and holds no handle.
type Store struct {
	opener   Opener
	label    string
	origin   string
	previous func() string // nil where the log continues none; see Continue

	remarking sync.Mutex    // held while the marker is made this log's
	trying    chan struct{} // holds one while the place is tried
}

// New returns the destination that opener opens and that belongs to the log with this origin. The label names
// the place to people, as it is configured. One process uses one opener for a place: see [Place.SweepStaging].
func New(opener Opener, label, origin string) (*Store, error) {
	if err := checkOrigin(origin); err != nil {
		return nil, fmt.Errorf("destination %s: %w", label, err)
	}
	return &Store{opener: opener, label: label, origin: origin, trying: make(chan struct{}, 1)}, nil
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
	return s.init(ctx, func(*Place) error { return nil })
}

// init is Init; before is done before a marker is written, and not where there is one.
func (s *Store) init(ctx context.Context, before func(*Place) error) (Marker, error) {
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
	if err := place.Try(ctx); err != nil {
		return Marker{}, err
	}
	if err := place.Locate(ctx); err != nil {
		return Marker{}, err
	}
	if err := before(place); err != nil {
		return Marker{}, err
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
