package dest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// moving is the file beside the marker that says that a move to this place, which had no marker, is not finished. It is
// written before the marker and removed by [Place.Settled].
const moving OwnFile = "moving"

// InitMoving is [Store.Init] for a move: [Place.Moving] is true of a place that it marks until [Place.Settled] is called, also
// after a crash.
func (s *Store) InitMoving(ctx context.Context) (Marker, error) {
	return s.init(ctx, func(place *Place) error {
		return place.WriteOwn(ctx, moving, []byte("wolkvox-backup moving v1\n"))
	})
}

// Moving reports whether a move to this place is not finished: that the marker is there does not say yet that it is the right
// place, for it was written before anybody looked.
func (p *Place) Moving(ctx context.Context) (bool, error) {
	_, err := p.ReadOwn(ctx, moving)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Settled says that the move to this place is finished; where none was begun it changes nothing.
func (p *Place) Settled(ctx context.Context) error {
	if err := p.able.RemoveOwn(ctx, string(moving)); err != nil {
		return fmt.Errorf("remove the file %s beside the marker of %s: %w", moving, p.store.label, err)
	}
	return nil
}
