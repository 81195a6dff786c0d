package localdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"

	"golang.org/x/sync/errgroup"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/durable"
)

// ReadOwn implements dest.Keeper.
func (h *handle) ReadOwn(ctx context.Context, name string) ([]byte, error) {
	r, err := h.Open(ctx, ownPath(name))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, dest.MaxOwnBytes+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if len(data) > dest.MaxOwnBytes {
		return nil, fmt.Errorf("%s has more than %d bytes", ownPath(name), dest.MaxOwnBytes)
	}
	return data, nil
}

// WriteOwn implements dest.Keeper.
func (h *handle) WriteOwn(ctx context.Context, name string, data []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := h.makeOwnDir(path.Dir(ownPath(name))); err != nil {
		return err
	}
	return h.protected(durable.WriteFileIn(h.root, ownPath(name), data, filePerm), ownPath(name))
}

// makeOwnDir makes a folder for own files, and those above it, durably.
func (h *handle) makeOwnDir(dir string) error {
	err := h.root.Mkdir(dir, dirPerm)
	if errors.Is(err, fs.ErrNotExist) && path.Dir(dir) != "." {
		if err := h.makeOwnDir(path.Dir(dir)); err != nil {
			return err
		}
		err = h.root.Mkdir(dir, dirPerm)
	}
	switch {
	case err == nil:
		return durable.SyncDirIn(h.root, path.Dir(dir))
	case errors.Is(err, fs.ErrExist):
		return nil
	}
	return h.protected(err, dir)
}

// RemoveOwn implements dest.Keeper.
func (h *handle) RemoveOwn(_ context.Context, name string) error {
	err := h.root.Remove(ownPath(name))
	if errors.Is(err, fs.ErrNotExist) && isAbsent(err) {
		return nil
	}
	return h.protected(err, ownPath(name))
}

func ownPath(name string) string { return backup.OwnPrefix + "/" + name }

// MoveAside implements dest.Mover.
func (h *handle) MoveAside(ctx context.Context, name, to string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	to = ownPath(to)
	info, err := h.root.Lstat(name)
	if err != nil {
		return h.explain(name, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %q is not a regular file", dest.ErrConflict, name)
	}
	from, err := durable.OpenDir(h.root, path.Dir(name))
	if err != nil {
		return h.explain(name, err)
	}
	defer from.Close()
	target, err := h.openDir(path.Dir(to))
	if err != nil {
		return err
	}
	defer target.Close()
	if err := durable.RenameNoReplaceAt(from, path.Base(name), target, path.Base(to)); err != nil {
		return h.explain(name, err)
	}
	touched := make(dirSet)
	touched.add(name)
	touched.add(to)
	return h.syncDirs(touched)
}

// Settle implements dest.Settler.
func (h *handle) Settle(ctx context.Context, names []string) error {
	if h.syncFS {
		for _, name := range names {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if _, err := h.root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
				return durable.SyncFS(h.dir)
			}
		}
		return nil // usually nothing is there yet
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(syncsAtOnce)
	dirs := make(dirSet)
	for _, name := range names {
		dirs.add(name)
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			err := h.explain(name, durable.SyncFileIn(h.root, name))
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, dest.ErrConflict) || errors.Is(err, fs.ErrPermission) {
				return nil // what cannot be opened is named when it is read
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return h.syncDirs(dirs)
}

// List implements dest.Lister.
func (h *handle) List(ctx context.Context) iter.Seq2[dest.File, error] {
	return func(yield func(dest.File, error) bool) {
		err := fs.WalkDir(h.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case isOwn(name) && entry.IsDir():
				return fs.SkipDir
			case isOwn(name) || entry.IsDir():
				return nil
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) && isAbsent(err) {
				return nil // deleted meanwhile
			}
			if err != nil {
				return err
			}
			if !yield(dest.File{Name: name, SizeBytes: info.Size(), Regular: info.Mode().IsRegular()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(dest.File{}, err)
		}
	}
}

// Space implements dest.Spacer.
func (h *handle) Space(ctx context.Context) (dest.Space, error) {
	if ctx.Err() != nil {
		return dest.Space{}, context.Cause(ctx)
	}
	space, err := durable.FreeSpace(h.dir)
	return dest.Space(space), err
}
