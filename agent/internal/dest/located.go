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

// Located reports whether the place is where it was when it was taken into use by [Store.Init] or [Place.Locate]. It is false where
// nothing says so. A copy on a volume of the same size that took over the name of the place cannot be told from it.
func (p *Place) Located(ctx context.Context) (bool, error) {
	known, err := p.ReadOwn(ctx, located)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	here, err := p.location(ctx)
	return bytes.Equal(known, here), err
}

// Locate takes the place into use where it is; see [Place.Located].
func (p *Place) Locate(ctx context.Context) error {
	here, err := p.location(ctx)
	if err != nil {
		return err
	}
	return p.WriteOwn(ctx, located, here)
}

func (p *Place) location(ctx context.Context) ([]byte, error) {
	space, err := p.Space(ctx)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	return fmt.Appendf(nil, "wolkvox-backup located v1\nplace %q\nbytes %d\n", p.store.label, space.TotalBytes), nil
}

// Try proves as [Store.Init] does that the place can do what safe copying needs; otherwise it is [ErrUnsuitable].
func (p *Place) Try(ctx context.Context) error {
	if err := p.try(ctx); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnsuitable, p.store.label, err)
	}
	return nil
}

// Unmark takes the marker away that [Store.Init] has just written: the place is nobody's again.
func (p *Place) Unmark(ctx context.Context) error {
	for _, file := range []OwnFile{markerFile, located} {
		if err := p.able.RemoveOwn(ctx, string(file)); err != nil {
			return fmt.Errorf("remove the file %s of %s: %w", file, p.store.label, err)
		}
	}
	return nil
}
