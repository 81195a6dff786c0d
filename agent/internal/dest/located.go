package dest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// located is the file beside the marker that says under which name, and on a volume of which size, the place was taken into
// use. A copy of the place carries it along, and is then seen to be elsewhere.
const located OwnFile = "located"

// Whereabouts compares where a place is with where it was taken into use by [Store.Init] or [Place.Locate].
type Whereabouts struct {
	Known  bool // it is known where it was; otherwise the rest is false
	Name   bool // it has the name that it had
	Volume bool // the volume has the size that it had; volumes grow, and those of some file systems change by themselves
}

// Whereabouts says whether the place is where it was. A copy on a volume of the same size that took over the name of the place
// cannot be told from it.
func (p *Place) Whereabouts(ctx context.Context) (Whereabouts, error) {
	known, err := p.ReadOwn(ctx, located)
	if errors.Is(err, fs.ErrNotExist) {
		return Whereabouts{}, nil
	}
	if err != nil {
		return Whereabouts{}, err
	}
	volume, err := p.volume(ctx)
	if err != nil {
		return Whereabouts{}, err
	}
	return Whereabouts{Known: true, Name: bytes.HasPrefix(known, p.name()), Volume: bytes.HasSuffix(known, volume)}, nil
}

// Locate takes the place into use where it is.
func (p *Place) Locate(ctx context.Context) error {
	volume, err := p.volume(ctx)
	if err != nil {
		return err
	}
	return p.WriteOwn(ctx, located, append(p.name(), volume...))
}

// name is how the file begins where the place has the name that it has now.
func (p *Place) name() []byte {
	return fmt.Appendf(nil, "wolkvox-backup located v1\nplace %q\n", p.store.label)
}

// volume is how the file ends where the volume has the size that it has now.
func (p *Place) volume(ctx context.Context) ([]byte, error) {
	space, err := p.Space(ctx)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	return fmt.Appendf(nil, "bytes %d\n", space.TotalBytes), nil
}

// Try proves as [Store.Init] does that the place can do what safe copying needs; otherwise it is [ErrUnsuitable].
func (p *Place) Try(ctx context.Context) error {
	if err := p.try(ctx); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnsuitable, p.store.label, err)
	}
	return nil
}

// Unmark takes the marker away that [Store.InitMoving] has written: the place is nobody's again.
func (p *Place) Unmark(ctx context.Context) error {
	for _, file := range []OwnFile{markerFile, located, moving} {
		if err := p.able.RemoveOwn(ctx, string(file)); err != nil {
			return fmt.Errorf("remove the file %s of %s: %w", file, p.store.label, err)
		}
	}
	return nil
}
