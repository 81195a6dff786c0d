package smbdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Put implements dest.Driver. Replacing compares what is there, and then renames over it: another program that
// changes the file between the two loses its change.
func (h *handle) Put(ctx context.Context, name string, r io.Reader, size int64, pre dest.Precondition) error {
	known, replaces := pre.Replaced()
	if replaces {
		if err := dest.Holds(ctx, h.Open, name, known); err != nil {
			return err
		}
	}
	s, err := h.newStage(ctx)
	if err != nil {
		return err
	}
	defer s.Discard()
	const key = "put"
	if err := s.copyIn(ctx, key, r, size); err != nil {
		return err
	}
	if err := s.Sync(ctx); err != nil {
		return err
	}
	if replaces {
		if err := h.replace(ctx, s.where(key), name); err != nil {
			return err
		}
		s.touched.add(name)
	} else if err := s.Publish(ctx, []dest.Move{{Key: key, Name: name}})[0]; err != nil {
		if errors.Is(err, fs.ErrExist) && !errors.Is(err, dest.ErrConflict) {
			return fmt.Errorf("%w: %w", dest.ErrConflict, err)
		}
		return err
	}
	return s.SyncNames(ctx)
}
