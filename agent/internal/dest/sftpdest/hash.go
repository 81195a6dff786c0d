package sftpdest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// hashesAtOnce bounds the files that are read at the same time: each may have its read-ahead in memory.
const hashesAtOnce = 16

// HashAll implements dest.Hasher: each folder is looked at once, and many files are on their way at a time.
func (h *handle) HashAll(ctx context.Context, names []string) ([]dest.Found, error) {
	found := make([]dest.Found, len(names))
	for i, name := range names {
		found[i] = dest.Found{Name: name}
	}
	folders, err := h.lookAtAll(ctx, names)
	if err != nil {
		return nil, err
	}
	var missing atomic.Bool
	group := atOnce()
	group.SetLimit(hashesAtOnce)
	for i := range found {
		f := &found[i]
		if f.Err = folders[parent(f.Name)]; errors.Is(f.Err, errFolderAbsent) {
			f.Err = absent(f.Name)
			missing.Store(true)
		}
		if f.Err != nil {
			continue
		}
		group.Go(func() error {
			h.hash(ctx, f)
			if errors.Is(f.Err, fs.ErrNotExist) {
				missing.Store(true)
			}
			if errors.Is(f.Err, dest.ErrUnreachable) {
				return f.Err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if missing.Load() {
		if err := h.placeThere(ctx); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// lookAtAll looks at the folders of all names, each once, and returns what [handle.lookAgain] says of each. Its own error
// says that the place cannot be reached.
func (h *handle) lookAtAll(ctx context.Context, names []string) (map[string]error, error) {
	folders := make(map[string]error)
	for _, name := range names {
		dir := parent(name)
		if _, done := folders[dir]; done {
			continue
		}
		err := h.lookAtOnce(ctx, dir, folders)
		if ctx.Err() != nil || errors.Is(err, dest.ErrUnreachable) {
			return nil, err
		}
	}
	return folders, nil
}

// lookAtOnce looks at a folder after those that lead there, unless folders has it already.
func (h *handle) lookAtOnce(ctx context.Context, dir string, folders map[string]error) error {
	if err, done := folders[dir]; done || dir == "." {
		folders[dir] = err
		return err
	}
	err := h.lookAtOnce(ctx, parent(dir), folders)
	if err == nil {
		err = h.lookAt(ctx, dir)
	}
	folders[dir] = err
	return err
}

// hash fills in what lies under one name in a folder that was looked at. fs.ErrNotExist is still to be proven: the place
// itself must be there.
func (h *handle) hash(ctx context.Context, f *dest.Found) {
	info, err := h.lstat(ctx, f.Name)
	if isStatus(err, fxNoSuchFile) {
		err = absent(f.Name)
	}
	if err != nil {
		f.Err = err
		return
	}
	if !info.Mode().IsRegular() {
		f.Err = notRegular(f.Name)
		return
	}
	r, err := h.read(ctx, f.Name, info.Size())
	if isStatus(err, fxNoSuchFile) { // deleted meanwhile
		err = absent(f.Name)
	}
	if err != nil {
		f.Err = err
		return
	}
	f.Digest, err = dest.Sum(ctx, r)
	f.Method = backup.ReadbackCached
	if err := errors.Join(err, r.Close()); err != nil {
		f.Err = fmt.Errorf("read %q: %w", f.Name, err)
	}
}

// Settle implements dest.Settler. Without fsync@openssh.com nothing can be done.
func (h *handle) Settle(ctx context.Context, names []string) error {
	if !h.has(extFsync) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	folders, err := h.lookAtAll(ctx, names)
	if err != nil {
		return err
	}
	dirs := make(dirSet)
	group := atOnce()
	for _, name := range names {
		if folders[parent(name)] != nil {
			continue // what is in the way is named when it is read
		}
		dirs.add(name)
		group.Go(func() error {
			info, err := h.lstat(ctx, name)
			switch {
			case isStatus(err, fxNoSuchFile), isStatus(err, fxPermissionDenied):
				return nil
			case err != nil:
				return err
			case !info.Mode().IsRegular():
				return nil
			}
			return h.sync(ctx, name)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return h.syncDirs(ctx, dirs)
}

var _ interface {
	dest.Driver
	dest.Stager
	dest.Keeper
	dest.Mover
	dest.Settler
	dest.Hasher
	dest.Lister
	dest.Spacer
} = (*handle)(nil)
