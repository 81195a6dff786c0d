package smbdest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strconv"
	"sync"

	smb2 "github.com/cloudsoda/go-smb2"
	"golang.org/x/sync/errgroup"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

const (
	stagingDir = backup.OwnPrefix + "/staging"

	// filesPerDir is how many staged files share a folder: Samba reads a whole folder to find that a name is new in it,
	// because names differ there by more than capitals.
	filesPerDir = 64
	// callsAtOnce bounds the flushes, renames and the like that are under way at the same time; it hides the line's latency.
	callsAtOnce = 32
)

// stage is one staging folder.
type stage struct {
	handle *handle
	ctx    context.Context // of the call that made it; writes and flushes are given up with it
	path   string          // below the place

	mu      sync.Mutex        // guards what follows
	files   map[string]string // by key, where a staged file lies below the place
	touched dirSet            // folders whose names were changed since the last SyncNames
	flush   *errgroup.Group   // flushes and closes of files
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
	parent := stagingDir + "/" + h.smb.process
	s := &stage{
		handle: h, ctx: ctx, path: parent + "/" + strconv.FormatInt(h.smb.stages.Add(1), 10),
		files: make(map[string]string), touched: make(dirSet), flush: newGroup(),
	}
	mkdir := func(share *smb2.Share) error { return share.Mkdir(h.path(s.path), dirPerm) }
	err := h.do(ctx, mkdir)
	if isMissing(err) {
		if err = h.makeDir(ctx, parent); err == nil {
			err = h.do(ctx, mkdir)
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func newGroup() *errgroup.Group {
	group := new(errgroup.Group)
	group.SetLimit(callsAtOnce)
	return group
}

// SweepStaging implements dest.Stager.
func (h *handle) SweepStaging(ctx context.Context) error {
	if err := h.sweep(ctx, stagingDir, func(name string) bool { return name != h.smb.process }); err != nil {
		return err
	}
	return h.sweep(ctx, backup.OwnPrefix, isTemp)
}

func (h *handle) sweep(ctx context.Context, dir string, leftover func(name string) bool) error {
	var entries []fs.FileInfo
	err := h.do(ctx, func(share *smb2.Share) (err error) { entries, err = share.ReadDir(h.path(dir)); return err })
	if isMissing(err) {
		err = h.missing(ctx, dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if leftover(entry.Name()) {
			if err := h.removeAll(ctx, dir+"/"+entry.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAll deletes a file, or a folder with all that is in it; a link itself, not what it leads to.
func (h *handle) removeAll(ctx context.Context, name string) error {
	err := h.remove(ctx, name)
	if !hasAny(err, statusDirectoryNotEmpty) {
		return err
	}
	var entries []fs.FileInfo
	if err := h.do(ctx, func(share *smb2.Share) (err error) { entries, err = share.ReadDir(h.path(name)); return err }); err != nil {
		return err
	}
	group := newGroup()
	for _, entry := range entries {
		if !entry.IsDir() {
			group.Go(func() error { return h.remove(ctx, name+"/"+entry.Name()) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := h.removeAll(ctx, name+"/"+entry.Name()); err != nil {
				return err
			}
		}
	}
	return h.remove(ctx, name)
}

// remove deletes a file or an empty folder; one that is not found is no error.
func (h *handle) remove(ctx context.Context, name string) error {
	err := h.do(ctx, func(share *smb2.Share) error { return share.Remove(h.path(name)) })
	if isMissing(err) {
		return nil
	}
	return err
}

// newFile returns where the file of a key shall lie: the first ones in the stage's own folder, others in folders below it.
func (s *stage) newFile(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.files[key]; !taken {
		dir := s.path
		if n := len(s.files) / filesPerDir; n > 0 {
			dir += "/" + strconv.Itoa(n)
		}
		s.files[key] = dir + "/" + key
	}
	return s.files[key]
}

// where returns where the file of a key lies.
func (s *stage) where(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.files[key]; ok {
		return name
	}
	return s.path + "/" + key // where no file is
}

// Create implements dest.Stage.
func (s *stage) Create(ctx context.Context, key string, _ int64) (dest.StagedFile, error) {
	f, err := s.create(ctx, key)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// copyIn stages exactly size bytes of r.
func (s *stage) copyIn(ctx context.Context, key string, r io.Reader, size int64) error {
	file, err := s.create(ctx, key)
	if err != nil {
		return err
	}
	return dest.Fill(ctx, file, r, size)
}

// Sync implements dest.Stage.
func (s *stage) Sync(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	flush := s.flush
	s.flush = newGroup()
	s.mu.Unlock()
	defer s.handle.link.watch(ctx, noLimit)() // each flush has its own
	err := flush.Wait()
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Open implements dest.Stage. It is a new open of the file, so that the server, not this machine, answers.
func (s *stage) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	return s.handle.read(ctx, s.where(key))
}

// Publish implements dest.Stage.
func (s *stage) Publish(ctx context.Context, moves []dest.Move) []error {
	errs := make([]error, len(moves))
	group := newGroup()
	for i, move := range moves {
		group.Go(func() error {
			errs[i] = s.handle.place(ctx, s.where(move.Key), move.Name)
			return nil
		})
	}
	group.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, move := range moves {
		if errs[i] == nil {
			s.touched.add(move.Name)
		}
	}
	return errs
}

// place renames a file without replacing, and makes the folders that the new name needs.
func (h *handle) place(ctx context.Context, from, to string) error {
	err := h.rename(ctx, from, to)
	if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, dest.ErrUnreachable) || ctx.Err() != nil {
		return err
	}
	// The folder may be missing, or a file may stand in its place; servers answer that in several ways.
	if err := h.makeDir(ctx, path.Dir(to)); err != nil {
		return err
	}
	if isMissing(err) {
		err = h.rename(ctx, from, to)
	}
	return err
}

// SyncNames implements dest.Stage.
func (s *stage) SyncNames(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	touched := s.touched
	s.touched = make(dirSet)
	s.mu.Unlock()
	return s.handle.syncDirs(ctx, touched)
}

// Remove implements dest.Stage.
func (s *stage) Remove(key string) error {
	return s.handle.do(context.WithoutCancel(s.ctx), func(share *smb2.Share) error { return share.Remove(s.handle.path(s.where(key))) })
}

// Discard implements dest.Stage.
func (s *stage) Discard() error {
	s.mu.Lock()
	flush := s.flush
	s.mu.Unlock()
	flush.Wait() // of files that are deleted now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), s.handle.smb.silence)
	defer cancel()
	return s.handle.removeAll(ctx, s.path)
}
