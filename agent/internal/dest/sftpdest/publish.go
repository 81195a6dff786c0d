package sftpdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"

	"github.com/pkg/sftp"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Publish implements dest.Stage.
func (s *stage) Publish(ctx context.Context, moves []dest.Move) []error {
	errs := make([]error, len(moves))
	dirs := make(map[string]error)
	for _, move := range moves {
		dir := parent(move.Name)
		if _, made := dirs[dir]; !made {
			dirs[dir] = s.handle.makeDir(ctx, dir)
		}
	}
	group := atOnce()
	for i, move := range moves {
		if errs[i] = dirs[parent(move.Name)]; errs[i] == nil {
			group.Go(func() error {
				errs[i] = s.handle.rename(ctx, s.path+"/"+move.Key, move.Name)
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

// SyncNames implements dest.Stage.
func (s *stage) SyncNames(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	touched := s.touched
	s.touched = make(dirSet)
	return s.handle.syncDirs(ctx, touched)
}

// rename gives a regular file of the place another name, never replacing: fs.ErrExist where it is taken.
func (h *handle) rename(ctx context.Context, from, to string) error {
	if h.has(extHardlink) {
		err := h.do(ctx, "link", to, func() error { return h.client.Link(h.abs(from), h.abs(to)) })
		if err == nil {
			// The other name is of no use, and does no harm: whoever sweeps or discards removes it.
			if err := h.remove(ctx, from); errors.Is(err, dest.ErrUnreachable) {
				return err
			}
			return nil
		}
		if err := h.taken(ctx, to, err); err != nil {
			return err
		}
		if isStatus(err, fxNoSuchFile) {
			return err
		}
		// A file system without links, or something that concerns rename as well.
	}
	keeps, err := h.renameKeeps(ctx)
	if err != nil {
		return err
	}
	if !keeps {
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeUnsupported, Cause: fmt.Errorf(
			"publish %q: the server makes no links, and its rename replaces what is there", to)}
	}
	err = h.do(ctx, "rename to", to, func() error { return h.client.Rename(h.abs(from), h.abs(to)) })
	if err == nil {
		return nil
	}
	if err := h.taken(ctx, to, err); err != nil {
		return err
	}
	return h.withEvidence(ctx, err, 0)
}

// taken returns fs.ErrExist where a request failed because the name to is taken, nil where it is not taken, and failed
// itself where it was no answer.
func (h *handle) taken(ctx context.Context, to string, failed error) error {
	if errors.Is(failed, dest.ErrUnreachable) || ctx.Err() != nil {
		return failed
	}
	switch _, err := h.lstat(ctx, to); {
	case err == nil:
		return fmt.Errorf("%q: %w: %w", to, fs.ErrExist, failed)
	case !isStatus(err, fxNoSuchFile):
		return err
	}
	return nil
}

// renameKeeps tries, once for a handle, whether the server's plain rename refuses a name that is taken, as it must
// (filexfer-02 section 6.5).
func (h *handle) renameKeeps(ctx context.Context) (bool, error) {
	h.probing.Lock()
	defer h.probing.Unlock()
	if h.keeps != nil {
		return *h.keeps, nil
	}
	dir := stagingDir + "/" + h.sftp.process + "/rename-" + strconv.FormatInt(h.sftp.stages.Add(1), 10)
	if err := h.makeDir(ctx, dir); err != nil {
		return false, err
	}
	for _, name := range []string{"a", "b"} {
		err := h.do(ctx, "create", dir+"/"+name, func() error {
			f, err := h.client.OpenFile(h.abs(dir+"/"+name), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
			if err != nil {
				return err
			}
			return f.Close()
		})
		if err != nil {
			return false, h.withEvidence(ctx, err, 0)
		}
	}
	err := h.do(ctx, "rename", dir+"/a", func() error { return h.client.Rename(h.abs(dir+"/a"), h.abs(dir+"/b")) })
	if errors.Is(err, dest.ErrUnreachable) || ctx.Err() != nil {
		return false, err
	}
	keeps := err != nil
	if keeps { // and did nothing all the same
		if _, err := h.lstat(ctx, dir+"/a"); err != nil {
			return false, err
		}
	}
	h.keeps = &keeps
	return keeps, h.removeAll(ctx, dir, true)
}

// syncDirs makes the names in the folders durable, where the server can. It opens a folder like a file, which OpenSSH
// lets; what cannot be opened so, or is not there, is passed over.
func (h *handle) syncDirs(ctx context.Context, dirs dirSet) error {
	if !h.has(extFsync) {
		return nil
	}
	group := atOnce()
	for dir := range dirs {
		group.Go(func() error {
			err := h.sync(ctx, dir)
			if isStatus(err, fxBadMessage) || isStatus(err, fxOpUnsupported) {
				return nil // the file system has no such thing
			}
			return err
		})
	}
	return group.Wait()
}

// sync makes durable what has the name. What cannot be opened is passed over.
func (h *handle) sync(ctx context.Context, name string) error {
	var f *sftp.File
	err := h.do(ctx, "open", name, func() (err error) { f, err = h.client.Open(h.abs(name)); return err })
	if _, answered := errors.AsType[*dest.CodeError](err); answered && !errors.Is(err, dest.ErrUnreachable) {
		return nil
	}
	if err != nil {
		return err
	}
	err = h.do(ctx, "make durable", name, f.Sync)
	h.closing.Go(func() {
		defer h.line.begin()()
		f.Close()
	})
	if err != nil {
		return h.withEvidence(ctx, err, 0)
	}
	return nil
}

// Put implements dest.Driver. Replacing compares what is there, and then renames over it: another program that changes
// the file between the two loses its change. Where the server cannot rename over a file, the old one is moved aside first:
// a crash between the two leaves it there, and nothing under the name.
func (h *handle) Put(ctx context.Context, name string, r io.Reader, size int64, pre dest.Precondition) error {
	known, replaces := pre.Replaced()
	if replaces {
		open := func(ctx context.Context, name string) (io.ReadCloser, error) { return h.openFile(ctx, name) }
		if err := dest.Holds(ctx, open, name, known); err != nil {
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
	switch {
	case replaces && h.has(extPosixRename):
		s.touched.add(name)
		err := h.do(ctx, "rename over", name, func() error { return h.client.PosixRename(h.abs(s.path+"/"+key), h.abs(name)) })
		if err != nil {
			return h.withEvidence(ctx, err, 0)
		}
	case replaces:
		aside := "aside/replaced-" + path.Base(path.Dir(s.path)) + "-" + path.Base(s.path) + "/" + name
		if err := h.MoveAside(ctx, name, aside); err != nil {
			return err
		}
		if err := s.Publish(ctx, []dest.Move{{Key: key, Name: name}})[0]; err != nil {
			return errors.Join(err, h.rename(ctx, ownPath(aside), name))
		}
	default:
		if err := s.Publish(ctx, []dest.Move{{Key: key, Name: name}})[0]; err != nil {
			if errors.Is(err, fs.ErrExist) && !errors.Is(err, dest.ErrConflict) {
				return fmt.Errorf("%w: %w", dest.ErrConflict, err)
			}
			return err
		}
	}
	return s.SyncNames(ctx)
}
