// Package localdest is the driver for a local directory, which may also be a mounted share or, on Windows, a UNC path,
// with a login of the agent's own. It follows the contract of package dest. Everything goes through one [os.Root], opened
// with the handle: no link leads out, and a share that is unmounted in between is neither filled nor read behind its back.
// It refuses drive letters that only a person's session has, does not mount anything, and does not make the directory itself.
package localdest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/durable"
)

// The permissions of what is made; the process's umask, which the administrator sets for the service, narrows them.
const (
	filePerm fs.FileMode = 0o666
	dirPerm  fs.FileMode = 0o777
)

// bufferBytes is the length of one read past the cache: long, because there is no read-ahead.
const bufferBytes = 256 << 10

// Local opens handles on one directory. There is one Local for a directory in a process: handles of the same Local
// spare each other's staging when they sweep. It is safe for concurrent use.
type Local struct {
	dir     string
	login   *Login       // nil where the process's own account is used
	process string       // the name of this process's staging folder
	stages  atomic.Int64 // how many were made
	buffers sync.Pool    // of *[]byte, aligned
}

// New returns an opener for the directory dir, which need not exist yet.
func New(dir string) *Local {
	var id [8]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	l := &Local{dir: dir, process: hex.EncodeToString(id[:])}
	l.buffers.New = func() any { b := durable.AlignedBuffer(bufferBytes); return &b }
	return l
}

// Open opens a handle on the directory. Where that fails for any reason it is dest.ErrUnreachable: a missing folder
// may be a share that is not mounted.
func (l *Local) Open(ctx context.Context) (dest.Driver, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := l.enter(); err != nil {
		return nil, &dest.UnreachableError{Place: l.dir, Cause: err}
	}
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return nil, &dest.UnreachableError{Place: l.dir, Cause: err}
	}
	dir, err := durable.OpenDir(root, ".")
	if err != nil {
		return nil, errors.Join(&dest.UnreachableError{Place: l.dir, Cause: err}, root.Close())
	}
	trusted, err := durable.SyncFSTrusted(dir)
	if err != nil {
		return nil, errors.Join(&dest.UnreachableError{Place: l.dir, Cause: err}, dir.Close(), root.Close())
	}
	return &handle{local: l, root: root, dir: dir, syncFS: trusted}, nil
}

// handle is one opened directory. dir was opened before anything was written through the handle, so a sync of the
// file system through it reports every failure since.
type handle struct {
	local  *Local
	root   *os.Root
	dir    *os.File
	syncFS bool // one sync of the file system replaces those of files and directories
}

func (h *handle) Close() error { return errors.Join(h.dir.Close(), h.root.Close()) }

// Open implements dest.Driver.
func (h *handle) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r, err := h.local.read(h.root, name)
	if err != nil {
		return nil, h.explain(name, err)
	}
	return r, nil
}

// read opens a regular file below root, with a buffer of the pool.
func (l *Local) read(root *os.Root, name string) (*reader, error) {
	buf := l.buffers.Get().(*[]byte)
	r, err := durable.OpenReader(root, name, *buf)
	if err != nil {
		l.buffers.Put(buf)
		return nil, err
	}
	return &reader{Reader: r, local: l, buf: buf}, nil
}

// reader gives its buffer back when it is closed, once.
type reader struct {
	*durable.Reader
	local *Local
	buf   *[]byte
}

func (r *reader) Close() error {
	if r.buf != nil {
		r.local.buffers.Put(r.buf)
		r.buf = nil
	}
	return r.Reader.Close()
}

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
		s.touched.add(name)
		if err := h.root.Rename(s.path+"/"+key, name); err != nil {
			return h.protected(h.explain(name, err), s.path+"/"+key, name)
		}
	} else if err := s.Publish(ctx, []dest.Move{{Key: key, Name: name}})[0]; err != nil {
		if errors.Is(err, fs.ErrExist) && !errors.Is(err, dest.ErrConflict) {
			return fmt.Errorf("%w: %w", dest.ErrConflict, err)
		}
		return err
	}
	return s.SyncNames(ctx)
}

// explain gives an error about a visible name its meaning in the contract: what is in the way is a conflict, and
// what only looks like absence is none.
func (h *handle) explain(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, durable.ErrNotRegular), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %w", dest.ErrConflict, err)
	case errors.Is(err, fs.ErrNotExist):
		if isAbsent(err) {
			return err
		}
		return &dest.UnreachableError{Place: h.local.dir, Cause: err}
	case errors.Is(err, fs.ErrExist):
		return err
	}
	// os.Root does not tell by its errors that a link leads out; so look whether there is one.
	for i, r := range name {
		if r != '/' {
			continue
		}
		if info, statErr := h.root.Lstat(name[:i]); statErr == nil && info.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%w: %q is a link: %w", dest.ErrConflict, name[:i], err)
		}
	}
	return h.protected(err, name)
}

// isOwn reports whether a name at the top of the place is the agent's own, in any case.
func isOwn(name string) bool {
	return len(name) >= len(backup.OwnPrefix) && strings.EqualFold(name[:len(backup.OwnPrefix)], backup.OwnPrefix)
}
