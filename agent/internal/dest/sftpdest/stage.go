package sftpdest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// stage is one staging folder.
type stage struct {
	handle  *handle
	path    string       // below the place
	sizes   sync.Map     // key to the file's size, for reading it back
	made    atomic.Int64 // how many files were begun
	touched dirSet       // folders whose names were changed since the last SyncNames

	mu    sync.Mutex      // guards flush, which Sync replaces
	flush *errgroup.Group // syncs and closes of files
}

// NewStage implements dest.Stager.
func (h *handle) NewStage(ctx context.Context) (dest.Stage, error) {
	s, err := h.newStage(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (h *handle) newStage(ctx context.Context) (*stage, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s := &stage{
		handle:  h,
		path:    stagingDir + "/" + h.sftp.process + "/" + strconv.FormatInt(h.sftp.stages.Add(1), 10),
		touched: make(dirSet),
		flush:   atOnce(),
	}
	if err := h.makeDir(ctx, s.path); err != nil {
		return nil, err
	}
	return s, nil
}

// atOnce returns a group for requests of one kind.
func atOnce() *errgroup.Group {
	group := new(errgroup.Group)
	group.SetLimit(requestsAtOnce)
	return group
}

// SweepStaging implements dest.Stager.
func (h *handle) SweepStaging(ctx context.Context) error {
	if err := h.sweep(ctx, stagingDir, func(name string) bool { return name != h.sftp.process }); err != nil {
		return err
	}
	return h.sweep(ctx, ownDir, isTemp)
}

func (h *handle) sweep(ctx context.Context, dir string, leftover func(name string) bool) error {
	if err := h.look(ctx, dir); err != nil {
		if err = h.provenAbsent(ctx, dir, err); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	entries, err := h.list(ctx, dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if leftover(entry.Name()) {
			if err := h.removeAll(ctx, dir+"/"+entry.Name(), entry.IsDir()); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAll removes a file, or a folder and what is in it. Links are removed, not followed. What is absent is no error.
func (h *handle) removeAll(ctx context.Context, name string, isDir bool) error {
	if isDir {
		entries, err := h.list(ctx, name)
		if isStatus(err, fxNoSuchFile) {
			return nil
		}
		if err != nil {
			return err
		}
		group := atOnce()
		for _, entry := range entries {
			if !entry.IsDir() {
				group.Go(func() error { return h.removeAll(ctx, name+"/"+entry.Name(), false) })
			}
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.IsDir() {
				if err := h.removeAll(ctx, name+"/"+entry.Name(), true); err != nil {
					return err
				}
			}
		}
	}
	if err := h.remove(ctx, name); !isStatus(err, fxNoSuchFile) {
		return err
	}
	return nil
}

// list returns what is in a folder.
func (h *handle) list(ctx context.Context, dir string) (entries []fs.FileInfo, err error) {
	err = h.do(ctx, "list", dir, func() error { entries, err = h.client.ReadDir(h.abs(dir)); return err })
	return entries, err
}

// Create implements dest.Stage. The protocol cannot reserve space.
func (s *stage) Create(ctx context.Context, key string, _ int64) (dest.StagedFile, error) {
	f, err := s.create(ctx, key)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Sync implements dest.Stage.
func (s *stage) Sync(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	flush := s.flush
	s.flush = atOnce()
	s.mu.Unlock()
	defer s.handle.begin(ctx)()
	err := flush.Wait()
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Open implements dest.Stage.
func (s *stage) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	size, _ := s.sizes.Load(key)
	bytes, _ := size.(int64)
	r, err := s.handle.read(ctx, s.path+"/"+key, bytes)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Remove implements dest.Stage.
func (s *stage) Remove(key string) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.handle.sftp.timing.cleanup)
	defer cancel()
	name := s.path + "/" + key
	if err := s.handle.remove(ctx, name); err != nil {
		return s.handle.provenAbsent(ctx, name, err)
	}
	return nil
}

// Discard implements dest.Stage.
func (s *stage) Discard() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.handle.sftp.timing.cleanup)
	defer cancel()
	s.mu.Lock()
	flush := s.flush
	s.mu.Unlock()
	end := s.handle.begin(ctx)
	flush.Wait() // of files that are deleted now
	end()
	return s.handle.removeAll(ctx, s.path, true)
}

// dirSet is a set of folders below the place; "." is the place itself.
type dirSet map[string]struct{}

// add adds the folders that lead to name.
func (set dirSet) add(name string) {
	for dir := parent(name); ; dir = parent(dir) {
		if _, ok := set[dir]; ok {
			return
		}
		set[dir] = struct{}{}
		if dir == "." {
			return
		}
	}
}

// isTemp reports whether a name in the folder for own files is that of a file that was being written.
func isTemp(name string) bool {
	return strings.HasPrefix(name, ".") && strings.Contains(name, tempInfix)
}
