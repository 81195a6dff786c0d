package smbdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// Put implements dest.Driver. Replacing compares what is there, and then renames over it: another program that
// changes the file between the two loses its change.
func (h *handle) Put(ctx context.Context, name string, r io.Reader, size int64, pre dest.Precondition) error {
	known, replaces := pre.Replaced()
	if replaces {
		if err := h.holds(ctx, name, known); err != nil {
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

// holds returns dest.ErrConflict unless a regular file with this digest has the name.
func (h *handle) holds(ctx context.Context, name string, known backup.Digest) error {
	r, err := h.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q is not there to be replaced", dest.ErrConflict, name)
	}
	if err != nil {
		return err
	}
	got, err := dest.Sum(ctx, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if got != known {
		return fmt.Errorf("%w: %q is %v, not %v", dest.ErrConflict, name, got, known)
	}
	return nil
}
