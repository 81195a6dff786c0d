package rsyncdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// pullBytes bounds what one process pulls into the spool, single larger files apart.
const pullBytes = 256 << 20

// pull pulls what is regular of names into a new folder of the spool. What could not be pulled is not there; the failure says
// why, if rsync did not do all. The files are in dir/below; the caller removes dir.
func (h *handle) pull(ctx context.Context, names []string, options ...string) (dir string, failed *failure, err error) {
	return h.pullCall(ctx, call{args: options, names: names})
}

// pullCall is pull for the options and names of a call.
func (h *handle) pullCall(ctx context.Context, c call) (dir string, failed *failure, err error) {
	dir, err = h.rsync.makeFolder("p")
	if err != nil {
		return "", nil, err
	}
	below := make([]string, len(c.names))
	for i, name := range c.names {
		below[i] = h.below + name
	}
	c.args = append(c.args, "--no-implied-dirs", "--ignore-missing-args", "--whole-file", "--chmod=F600,D700", h.pullAt, h.local(dir))
	c.names, c.pulls = below, true
	err = h.run(ctx, c)
	failed, isFailure := errors.AsType[*failure](err)
	if err != nil && !isFailure {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, failed, nil
}

// pulledFile is where pull puts a file.
func (h *handle) pulledFile(dir, name string) string {
	return filepath.Join(dir, filepath.FromSlash(h.below+name))
}

// fetch pulls one file and opens it; dir is to be removed after it was closed.
func (h *handle) fetch(ctx context.Context, name string, options ...string) (f *os.File, dir string, err error) {
	dir, failed, err := h.pull(ctx, []string{name}, options...)
	if err != nil {
		return nil, "", err
	}
	if f, err = os.Open(h.pulledFile(dir, name)); err == nil {
		info, err := f.Stat()
		if err == nil && info.Mode().IsRegular() {
			return f, dir, nil
		}
		f.Close()
	}
	err = os.RemoveAll(dir)
	switch {
	case err != nil:
		return nil, "", spoolError(err)
	case failed != nil && !failed.partial():
		return nil, "", failed.explain()
	}
	found, err := h.look(ctx, []string{name})
	if err == nil {
		err = found[0].err
	}
	if err == nil && failed != nil {
		err = failed.explain()
	} else if err == nil {
		err = fmt.Errorf("%q is there (%d bytes) and was not sent", name, found[0].sizeBytes)
	}
	return nil, "", err
}

// Open implements dest.Driver: the whole file is pulled into the spool first.
func (h *handle) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	f, dir, err := h.fetch(ctx, name)
	if err != nil {
		return nil, err
	}
	return &pulled{f, dir}, nil
}

// pulled is a file in the spool that goes with its folder.
type pulled struct {
	*os.File
	dir string
}

// Close closes and deletes the file.
func (p *pulled) Close() error { return errors.Join(p.File.Close(), os.RemoveAll(p.dir)) }

// HashAll implements dest.Hasher: one process looks what is there, further ones pull it in portions that the spool can take.
func (h *handle) HashAll(ctx context.Context, names []string) ([]dest.Found, error) {
	there, err := h.look(ctx, names)
	if err != nil {
		return nil, err
	}
	found := make([]dest.Found, len(names))
	var portion []int
	var sizeBytes int64
	for i, name := range names {
		found[i] = dest.Found{Name: name, Method: backup.ReadbackCached, Err: there[i].err}
		if there[i].err != nil {
			continue
		}
		if sizeBytes+there[i].sizeBytes > pullBytes && len(portion) > 0 {
			if err := h.hashPortion(ctx, found, portion, sizeBytes); err != nil {
				return nil, err
			}
			portion, sizeBytes = nil, 0
		}
		portion, sizeBytes = append(portion, i), sizeBytes+there[i].sizeBytes
	}
	if len(portion) > 0 {
		if err := h.hashPortion(ctx, found, portion, sizeBytes); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// hashPortion pulls and hashes those of found that portion names.
func (h *handle) hashPortion(ctx context.Context, found []dest.Found, portion []int, sizeBytes int64) error {
	if err := h.rsync.room(sizeBytes); err != nil {
		return err
	}
	names := make([]string, len(portion))
	for i, index := range portion {
		names[i] = found[index].Name
	}
	dir, failed, err := h.pull(ctx, names)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if failed != nil && !failed.partial() {
		return failed.explain()
	}
	for _, index := range portion {
		f := &found[index]
		f.Digest, err = sumFile(ctx, h.pulledFile(dir, f.Name))
		switch {
		case errors.Is(err, os.ErrNotExist) && failed != nil:
			if f.Err = failed.about(f.Name); f.Err == nil {
				f.Err = failed.explain()
			}
		case errors.Is(err, os.ErrNotExist):
			f.Err = fmt.Errorf("%q was there and then was not", f.Name)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			f.Err = spoolError(err)
		}
	}
	return nil
}

// sumFile hashes a file of the spool.
func sumFile(ctx context.Context, path string) (backup.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return backup.Digest{}, err
	}
	digest, err := dest.Sum(ctx, f)
	return digest, errors.Join(err, f.Close())
}
