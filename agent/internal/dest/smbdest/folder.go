package smbdest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	smb2 "github.com/cloudsoda/go-smb2"
	"golang.org/x/sync/errgroup"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// dirPerm is what the library wants for a folder; the server decides.
const dirPerm fs.FileMode = 0o777

// proveRoot returns dest.ErrUnreachable unless the place's folder is there.
func (h *handle) proveRoot(ctx context.Context) error {
	kind, err := h.kind(ctx, ".")
	switch {
	case err == nil && kind == kindFolder:
		return nil
	case err == nil:
		err = &dest.CodeError{Space: dest.SpaceNTStatus, Number: statusNotADirectory, Name: statusNames()[statusNotADirectory],
			Cause: fmt.Errorf("%q is not a folder", h.smb.options.Folder)}
	case isMissing(err):
		err = fmt.Errorf("the folder %q is not on the share: %w", h.smb.options.Folder, err)
	case errors.Is(err, dest.ErrUnreachable) || ctx.Err() != nil:
		return err
	}
	return h.smb.unreachable(err)
}

// missing returns what it means that the server did not find name: fs.ErrNotExist where the nearest folder above it that is
// there is a folder of the place, dest.ErrConflict where a file is in the way, and dest.ErrUnreachable where not even the
// place's own folder is there.
func (h *handle) missing(ctx context.Context, name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		kind, err := h.kind(ctx, dir)
		switch {
		case isMissing(err):
			continue
		case err != nil:
			return err
		case kind != kindFolder:
			return fmt.Errorf("%w: %q is not a folder", dest.ErrConflict, dir)
		}
		return absent(name)
	}
	if err := h.proveRoot(ctx); err != nil {
		return err
	}
	return absent(name)
}

func absent(name string) error {
	return &dest.CodeError{Space: dest.SpaceNTStatus, Number: statusNameNotFound, Name: statusNames()[statusNameNotFound],
		Cause: &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}}
}

// makeDir makes a folder, and those that lead to it. Others may be making them at the same time.
func (h *handle) makeDir(ctx context.Context, dir string) error {
	if dir == "." {
		return h.proveRoot(ctx)
	}
	mkdir := func(share *smb2.Share) error { return share.Mkdir(h.path(dir), dirPerm) }
	err := h.do(ctx, mkdir)
	if isMissing(err) {
		if err := h.makeDir(ctx, path.Dir(dir)); err != nil {
			return err
		}
		err = h.do(ctx, mkdir)
	}
	if !hasAny(err, statusNameCollision, statusFileIsADirectory) {
		return err
	}
	kind, err := h.kind(ctx, dir)
	switch {
	case err == nil && kind == kindFolder:
		return nil
	case err == nil || isMissing(err): // taken, and yet not found: a link that leads nowhere
		return fmt.Errorf("%w: %q is not a folder", dest.ErrConflict, dir)
	}
	return err
}

// dirSet is a set of folders of the place; "." is the place itself.
type dirSet map[string]struct{}

// add adds the folders that lead to name.
func (set dirSet) add(name string) {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if _, ok := set[dir]; ok {
			return
		}
		set[dir] = struct{}{}
		if dir == "." {
			return
		}
	}
}

// syncDirs makes the names in the folders durable, as far as the server can: one that takes no flush of a folder writes
// names as it does without one.
func (h *handle) syncDirs(ctx context.Context, dirs dirSet) error {
	group := new(errgroup.Group)
	group.SetLimit(callsAtOnce)
	for dir := range dirs {
		group.Go(func() error { return h.syncDir(ctx, dir) })
	}
	return group.Wait()
}

func (h *handle) syncDir(ctx context.Context, dir string) error {
	err := h.flush(ctx, dir)
	if hasAny(err, statusAccessDenied, statusInvalidParameter, statusInvalidDevice, statusFileIsADirectory, statusNotSupported,
		statusNotImplemented) {
		return nil
	}
	return err
}

// flush makes what has a name durable: a file's contents, or a folder's names. It needs the right to write it.
func (h *handle) flush(ctx context.Context, name string) error {
	return h.do(ctx, func(share *smb2.Share) error {
		f, err := share.OpenFile(h.path(name), os.O_RDWR, 0o666)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
