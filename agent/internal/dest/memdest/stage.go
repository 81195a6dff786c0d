package memdest

import (
	"context"
	"io"
	"io/fs"
	"slices"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// stage is one staging area; its fields are guarded by the disk's lock.
type stage struct {
	handle    *handle
	files     map[string]*node
	published []string // since the last SyncNames
}

// NewStage implements dest.Stager.
func (h *handle) NewStage(ctx context.Context) (dest.Stage, error) {
	unlock, err := h.lock(ctx)
	defer unlock()
	if err != nil {
		return nil, err
	}
	s := &stage{handle: h, files: make(map[string]*node)}
	if h.disk.objects {
		return &uploads{stage: s, ended: make(map[string]error)}, nil
	}
	h.disk.stages[s] = struct{}{}
	return s, nil
}

// SweepStaging implements dest.Stager: what dead handles left is deleted.
func (h *handle) SweepStaging(ctx context.Context) error {
	unlock, err := h.lock(ctx)
	defer unlock()
	if err != nil {
		return err
	}
	for s := range h.disk.stages {
		if s.handle.epoch != h.epoch {
			delete(h.disk.stages, s)
		}
	}
	return nil
}

// Create implements dest.Stage.
func (s *stage) Create(ctx context.Context, key string, _ int64) (dest.StagedFile, error) {
	unlock, err := s.handle.lock(ctx)
	defer unlock()
	if err != nil {
		return nil, err
	}
	if _, ok := s.files[key]; ok {
		return nil, &fs.PathError{Op: "create", Path: key, Err: fs.ErrExist}
	}
	n := new(node)
	s.files[key] = n
	return &stagedFile{stage: s, key: key, node: n}, nil
}

type stagedFile struct {
	stage *stage
	key   string
	node  *node
}

// Write implements dest.StagedFile.
func (f *stagedFile) Write(p []byte) (int, error) {
	unlock, err := f.stage.handle.lock(context.Background())
	defer unlock()
	if err != nil {
		return 0, err
	}
	if f.node.closed {
		return 0, fs.ErrClosed
	}
	f.node.data = append(f.node.data, p...)
	return len(p), nil
}

// Close implements dest.StagedFile.
func (f *stagedFile) Close() error {
	unlock, err := f.stage.handle.lock(context.Background())
	defer unlock()
	if err != nil {
		return err
	}
	if f.node.closed {
		return fs.ErrClosed
	}
	f.node.closed = true
	return nil
}

// Discard implements dest.StagedFile.
func (f *stagedFile) Discard() error {
	unlock, err := f.stage.handle.lock(context.Background())
	defer unlock()
	if err != nil {
		return err
	}
	if f.node.closed {
		return fs.ErrClosed
	}
	f.node.closed = true
	delete(f.stage.files, f.key)
	return nil
}

// Sync implements dest.Stage.
func (s *stage) Sync(ctx context.Context) error {
	unlock, err := s.handle.lock(ctx)
	defer unlock()
	if err != nil {
		return err
	}
	for _, n := range s.files {
		if n.closed {
			n.durable = slices.Clone(n.data)
		}
	}
	return nil
}

// Open implements dest.Stage.
func (s *stage) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	unlock, err := s.handle.lock(ctx)
	defer unlock()
	if err != nil {
		return nil, err
	}
	n, ok := s.files[key]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: key, Err: fs.ErrNotExist}
	}
	return newReader(n), nil
}

// Publish implements dest.Stage.
func (s *stage) Publish(ctx context.Context, moves []dest.Move) []error {
	errs := make([]error, len(moves))
	for i, move := range moves {
		errs[i] = s.publish(ctx, move)
	}
	return errs
}

func (s *stage) publish(ctx context.Context, move dest.Move) error {
	unlock, err := s.handle.lock(ctx)
	defer unlock()
	if err != nil {
		return err
	}
	n, ok := s.files[move.Key]
	if !ok {
		return &fs.PathError{Op: "rename", Path: move.Key, Err: fs.ErrNotExist}
	}
	if err := s.handle.disk.link(move.Name, n); err != nil {
		return err
	}
	delete(s.files, move.Key)
	s.published = append(s.published, move.Name)
	return nil
}

// SyncNames implements dest.Stage.
func (s *stage) SyncNames(ctx context.Context) error {
	unlock, err := s.handle.lock(ctx)
	defer unlock()
	if err != nil {
		return err
	}
	for _, name := range s.published {
		if n, ok := s.handle.disk.names[name]; ok {
			s.handle.disk.durable[name] = n
		}
	}
	s.published = nil
	return nil
}

// Remove implements dest.Stage.
func (s *stage) Remove(key string) error {
	unlock, err := s.handle.lock(context.Background())
	defer unlock()
	if err != nil {
		return err
	}
	if _, ok := s.files[key]; !ok {
		return &fs.PathError{Op: "remove", Path: key, Err: fs.ErrNotExist}
	}
	delete(s.files, key)
	return nil
}

// Discard implements dest.Stage.
func (s *stage) Discard() error {
	unlock, err := s.handle.lock(context.Background())
	defer unlock()
	if err == nil {
		delete(s.handle.disk.stages, s)
	}
	return err
}
