package rsyncdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// Put implements dest.Driver. Replacing compares what is there, and then renames over it: another program that changes the
// file between the two loses its change.
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
	move := dest.Move{Key: "put", Name: name}
	if err := s.copyIn(ctx, move.Key, r, size); err != nil {
		return err
	}
	if replaces {
		err = s.replace(ctx, move)
	} else {
		err = s.Publish(ctx, []dest.Move{move})[0]
	}
	switch {
	case errors.Is(err, fs.ErrExist) && !errors.Is(err, dest.ErrConflict):
		return fmt.Errorf("%w: %w", dest.ErrConflict, err)
	case err != nil:
		return err
	}
	return s.SyncNames(ctx)
}

// holds returns dest.ErrConflict unless a regular file with this digest has the name.
func (h *handle) holds(ctx context.Context, name string, known backup.Digest) error {
	found, err := h.HashAll(ctx, []string{name})
	if err != nil {
		return err
	}
	switch {
	case errors.Is(found[0].Err, fs.ErrNotExist):
		return fmt.Errorf("%w: %q is not there to be replaced", dest.ErrConflict, name)
	case found[0].Err != nil:
		return found[0].Err
	case found[0].Digest != known:
		return fmt.Errorf("%w: %q is %v, not %v", dest.ErrConflict, name, found[0].Digest, known)
	}
	return nil
}

// replace sends one file whatever has its name.
func (s *stage) replace(ctx context.Context, move dest.Move) error {
	tree, _, err := s.link([]dest.Move{move}, []int{0})
	if err != nil {
		return err
	}
	return explained(s.handle.push(ctx, call{
		args:  []string{"--ignore-times", s.handle.tempDir(), s.handle.local(tree), s.handle.base},
		names: []string{move.Name},
	}))
}

// copyIn stages exactly size bytes of r.
func (s *stage) copyIn(ctx context.Context, key string, r io.Reader, size int64) error {
	file, err := s.Create(ctx, key, size)
	if err != nil {
		return err
	}
	return dest.Fill(ctx, file, r, size)
}
