package localdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/durable"
)

const (
	stagingDir = backup.OwnPrefix + "/staging"

	// preallocateFrom is the size from which space is reserved before writing: smaller files are allocated whole
	// when they are flushed.
	preallocateFrom = 16 << 20
	// syncsAtOnce bounds the files and directories that are synced at the same time where each needs its own
	// sync; it hides a share's latency, and each holds a descriptor.
	syncsAtOnce = 32
	// renamesPerJob is how many renames into one directory share one opening of it.
	renamesPerJob = 64
)

// stage is one staging folder.
type stage struct {
	handle *handle
	path   string   // below the place
	root   *os.Root // the folder
	dir    *os.File // the folder, for renaming out of it

	touched dirSet // directories whose names were changed since the last SyncNames

	mu    sync.Mutex      // guards flush, which Sync replaces
	flush *errgroup.Group // syncs and closes of files, where each needs its own
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
	parent := stagingDir + "/" + h.local.process
	if err := h.root.MkdirAll(parent, dirPerm); err != nil {
		return nil, h.protected(err, parent)
	}
	s := &stage{handle: h, path: parent + "/" + strconv.FormatInt(h.local.stages.Add(1), 10), touched: make(dirSet), flush: newFlush()}
	if err := h.root.Mkdir(s.path, dirPerm); err != nil {
		return nil, h.protected(err, s.path)
	}
	var err error
	if s.root, err = h.root.OpenRoot(s.path); err != nil {
		return nil, errors.Join(err, h.root.Remove(s.path))
	}
	if s.dir, err = durable.OpenDir(s.root, "."); err != nil {
		return nil, errors.Join(err, s.root.Close(), h.root.Remove(s.path))
	}
	return s, nil
}

func newFlush() *errgroup.Group {
	group := new(errgroup.Group)
	group.SetLimit(syncsAtOnce)
	return group
}

// SweepStaging implements dest.Stager.
func (h *handle) SweepStaging(ctx context.Context) error {
	if err := h.sweep(ctx, stagingDir, func(name string) bool { return name != h.local.process }); err != nil {
		return err
	}
	return h.sweep(ctx, backup.OwnPrefix, durable.IsTemp)
}

func (h *handle) sweep(ctx context.Context, dir string, leftover func(name string) bool) error {
	entries, err := fs.ReadDir(h.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) && isAbsent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if leftover(entry.Name()) {
			if err := h.root.RemoveAll(dir + "/" + entry.Name()); err != nil {
				return h.protected(err, dir+"/"+entry.Name())
			}
		}
	}
	return nil
}

// Create implements dest.Stage.
func (s *stage) Create(ctx context.Context, key string, sizeBytes int64) (dest.StagedFile, error) {
	return s.create(ctx, key, sizeBytes)
}

func (s *stage) create(ctx context.Context, key string, sizeBytes int64) (*stagedFile, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	f, err := s.root.OpenFile(key, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return nil, s.handle.protected(err, s.path+"/"+key)
	}
	file := &stagedFile{File: f, stage: s, key: key}
	if sizeBytes >= preallocateFrom {
		// Where space cannot be reserved, a full disk is found while writing.
		if err := durable.Preallocate(f, sizeBytes); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return nil, errors.Join(err, file.Discard())
		}
	}
	return file, nil
}

// copyIn stages exactly size bytes of r.
func (s *stage) copyIn(ctx context.Context, key string, r io.Reader, size int64) error {
	file, err := s.create(ctx, key, size)
	if err != nil {
		return err
	}
	buf := s.handle.local.buffers.Get().(*[]byte)
	defer s.handle.local.buffers.Put(buf)
	for n := int64(0); err == nil; {
		var m int
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
		m, err = r.Read(*buf)
		n += int64(m)
		if n > size || err == io.EOF && n < size {
			err = fmt.Errorf("the stream does not have %d bytes but %d or more", size, n)
			break
		}
		if _, writeErr := file.Write((*buf)[:m]); writeErr != nil {
			err = writeErr
		}
	}
	if err != io.EOF {
		return errors.Join(err, file.Discard())
	}
	return file.Close()
}

// stagedFile is a file being written.
type stagedFile struct {
	*os.File
	stage *stage
	key   string
}

// Close ends writing. Where the file needs its own sync, that begins now, beside others, and [stage.Sync] waits for
// it: the descriptor through which a file was written is the one that surely hears of a failed write-back.
func (f *stagedFile) Close() error {
	if f.stage.handle.syncFS {
		return f.File.Close()
	}
	f.stage.mu.Lock()
	defer f.stage.mu.Unlock()
	f.stage.flush.Go(func() error { return errors.Join(f.Sync(), f.File.Close()) })
	return nil
}

// Discard implements dest.StagedFile.
func (f *stagedFile) Discard() error {
	return errors.Join(f.File.Close(), f.stage.root.Remove(f.key))
}

// Sync implements dest.Stage.
func (s *stage) Sync(ctx context.Context) error {
	if s.handle.syncFS {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return durable.SyncFS(s.handle.dir)
	}
	s.mu.Lock()
	flush := s.flush
	s.flush = newFlush()
	s.mu.Unlock()
	return flush.Wait()
}

// Open implements dest.Stage.
func (s *stage) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r, err := s.handle.local.read(s.root, key)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Publish implements dest.Stage. Moves into the same directory share one opening of it; several directories, and
// parts of large ones, go on at once.
func (s *stage) Publish(ctx context.Context, moves []dest.Move) []error {
	errs := make([]error, len(moves))
	byDir := make(map[string][]int)
	for i, move := range moves {
		dir := path.Dir(move.Name)
		byDir[dir] = append(byDir[dir], i)
	}
	group := newFlush()
	for dir, all := range byDir {
		for part := range slices.Chunk(all, renamesPerJob) {
			group.Go(func() error {
				s.publishInto(ctx, dir, moves, part, errs)
				return nil
			})
		}
	}
	group.Wait()
	for i, move := range moves {
		if errs[i] == nil {
			s.touched.add(move.Name)
		}
	}
	return errs
}

// publishInto renames the moves numbered part, all of them into dir, and sets their errs.
func (s *stage) publishInto(ctx context.Context, dir string, moves []dest.Move, part []int, errs []error) {
	target, err := s.handle.openDir(dir)
	if err == nil {
		defer target.Close()
	}
	for _, i := range part {
		switch {
		case err != nil:
			errs[i] = err
		case ctx.Err() != nil:
			errs[i] = context.Cause(ctx)
		default:
			err := durable.RenameNoReplaceAt(s.dir, moves[i].Key, target, path.Base(moves[i].Name))
			errs[i] = s.handle.protected(err, moves[i].Name, s.path+"/"+moves[i].Key)
		}
	}
}

// openDir opens a directory of the place, and makes it first where it is absent.
func (h *handle) openDir(dir string) (*os.File, error) {
	f, err := durable.OpenDir(h.root, dir)
	if errors.Is(err, fs.ErrNotExist) && isAbsent(err) {
		if err = h.root.MkdirAll(dir, dirPerm); err == nil {
			f, err = durable.OpenDir(h.root, dir)
		}
	}
	if err == nil {
		return f, nil
	}
	err = h.explain(dir+"/", err)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) && !errors.Is(err, dest.ErrConflict) {
		// It can be neither opened nor made: a link that leads nowhere has its name.
		err = fmt.Errorf("%w: the folder %q: %v", dest.ErrConflict, dir, err)
	}
	return nil, err
}

// SyncNames implements dest.Stage.
func (s *stage) SyncNames(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	touched := s.touched
	s.touched = make(dirSet)
	return s.handle.syncDirs(touched)
}

// Remove implements dest.Stage.
func (s *stage) Remove(key string) error { return s.root.Remove(key) }

// Discard implements dest.Stage.
func (s *stage) Discard() error {
	s.mu.Lock()
	flush := s.flush
	s.mu.Unlock()
	flush.Wait() // of files that are deleted now
	return errors.Join(s.dir.Close(), s.root.Close(), s.handle.root.RemoveAll(s.path))
}

// dirSet is a set of directories below the place; "." is the place itself.
type dirSet map[string]struct{}

// add adds the directories that lead to name.
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

// syncDirs makes the names in the directories durable. What is not there, or not a directory, is passed over.
func (h *handle) syncDirs(dirs dirSet) error {
	if len(dirs) == 0 {
		return nil
	}
	if h.syncFS {
		return durable.SyncFS(h.dir)
	}
	group := newFlush()
	for dir := range dirs {
		group.Go(func() error {
			err := h.explain(dir+"/", durable.SyncDirIn(h.root, dir))
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, dest.ErrConflict) {
				return nil
			}
			return err
		})
	}
	return group.Wait()
}
