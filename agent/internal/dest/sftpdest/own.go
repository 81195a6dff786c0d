package sftpdest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"

	"github.com/pkg/sftp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

const (
	// tempInfix is in the names of own files that are being written: ".NAME.tmp-RANDOM".
	tempInfix = ".tmp-"
	// newSuffix names the whole new contents of an own file where the server cannot rename over a file: they count while
	// the file itself is absent.
	newSuffix = ".new"
)

func ownPath(name string) string { return ownDir + "/" + name }

// ReadOwn implements dest.Keeper.
func (h *handle) ReadOwn(ctx context.Context, name string) ([]byte, error) {
	data, err := h.readOwn(ctx, name)
	if errors.Is(err, fs.ErrNotExist) && hasSuccessor(name) {
		if data, newErr := h.readOwn(ctx, name+newSuffix); !errors.Is(newErr, fs.ErrNotExist) {
			return data, newErr
		}
		// The file may have been put in its place between the two looks.
		return h.readOwn(ctx, name)
	}
	return data, err
}

// hasSuccessor reports whether an own file may wait under another name: those that the agent writes, not those that it
// moved aside.
func hasSuccessor(name string) bool { return !strings.Contains(name, "/") }

func (h *handle) readOwn(ctx context.Context, name string) ([]byte, error) {
	r, err := h.openFile(ctx, ownPath(name))
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
	dir, base := path.Split(ownPath(name))
	if err := h.makeDir(ctx, path.Clean(dir)); err != nil {
		return err
	}
	var random [8]byte
	rand.Read(random[:]) // never fails (crypto/rand)
	temp := dir + "." + base + tempInfix + hex.EncodeToString(random[:])
	if err := h.writeSynced(ctx, temp, data); err != nil {
		return err
	}
	if err := h.replaceOwn(ctx, temp, name); err != nil {
		return errors.Join(h.withEvidence(ctx, err, int64(len(data))), h.remove(context.WithoutCancel(ctx), temp))
	}
	touched := make(dirSet)
	touched.add(ownPath(name))
	return h.syncDirs(ctx, touched)
}

// replaceOwn puts temp in the place of the own file name. Where the server cannot do that at once, the new contents are
// whole under another name before the old ones go: whoever reads finds the old or the new ones.
func (h *handle) replaceOwn(ctx context.Context, temp, name string) error {
	to := ownPath(name)
	if h.has(extPosixRename) {
		return h.do(ctx, "rename over", to, func() error { return h.client.PosixRename(h.abs(temp), h.abs(to)) })
	}
	plain := func(from, to string) error {
		return h.do(ctx, "rename to", to, func() error { return h.client.Rename(h.abs(from), h.abs(to)) })
	}
	gone := func(name string) error {
		if err := h.remove(ctx, name); !isStatus(err, fxNoSuchFile) {
			return err
		}
		return nil
	}
	successor := to + newSuffix
	_, err := h.lstat(ctx, to)
	if isStatus(err, fxNoSuchFile) { // a crash may have left the contents that count
		if _, err = h.lstat(ctx, successor); err == nil {
			err = plain(successor, to)
		} else if isStatus(err, fxNoSuchFile) {
			err = nil
		}
	}
	if err == nil {
		err = gone(successor)
	}
	if err == nil {
		err = plain(temp, successor)
	}
	if err == nil {
		err = gone(to)
	}
	if err == nil {
		err = plain(successor, to)
	}
	return err
}

// writeSynced writes a new small file.
func (h *handle) writeSynced(ctx context.Context, name string, data []byte) error {
	var f *sftp.File
	err := h.do(ctx, "create", name, func() (err error) {
		f, err = h.client.OpenFile(h.abs(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		return err
	})
	if err != nil {
		return h.vanished(h.withEvidence(ctx, err, int64(len(data))))
	}
	if len(data) > 0 {
		err = h.do(ctx, "write", name, func() error { _, err := f.WriteAt(data, 0); return err })
	}
	if err == nil && h.has(extFsync) {
		err = h.do(ctx, "make durable", name, f.Sync)
	}
	after := context.WithoutCancel(ctx)
	err = errors.Join(err, h.do(after, "close", name, f.Close))
	if err != nil {
		return errors.Join(h.withEvidence(ctx, err, int64(len(data))), h.remove(after, name))
	}
	return nil
}

// RemoveOwn implements dest.Keeper.
func (h *handle) RemoveOwn(ctx context.Context, name string) error {
	names := []string{name}
	if hasSuccessor(name) {
		names = []string{name + newSuffix, name} // a crash between the two leaves the file
	}
	for _, name := range names {
		err := h.remove(ctx, ownPath(name))
		if err != nil {
			if err = h.provenAbsent(ctx, ownPath(name), err); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// MoveAside implements dest.Mover.
func (h *handle) MoveAside(ctx context.Context, name, to string) error {
	to = ownPath(to)
	if err := h.look(ctx, parent(name)); err != nil {
		return h.provenAbsent(ctx, name, err)
	}
	info, err := h.lstat(ctx, name)
	if err != nil {
		return h.provenAbsent(ctx, name, err)
	}
	if !info.Mode().IsRegular() {
		return notRegular(name)
	}
	if err := h.makeDir(ctx, parent(to)); err != nil {
		return err
	}
	if err := h.moveAside(ctx, name, to); err != nil {
		return h.provenAbsent(ctx, name, err)
	}
	touched := make(dirSet)
	touched.add(name)
	touched.add(to)
	return h.syncDirs(ctx, touched)
}

// moveAside renames. Where that is done by a link, the old name must go too.
func (h *handle) moveAside(ctx context.Context, name, to string) error {
	if err := h.rename(ctx, name, to); err != nil {
		return err
	}
	switch _, err := h.lstat(ctx, name); {
	case err == nil:
		return h.remove(ctx, name)
	case isStatus(err, fxNoSuchFile):
		return nil
	default:
		return err
	}
}

// List implements dest.Lister.
func (h *handle) List(ctx context.Context) iter.Seq2[dest.File, error] {
	return func(yield func(dest.File, error) bool) {
		for dirs := []string{"."}; len(dirs) > 0; {
			dir := dirs[len(dirs)-1]
			dirs = dirs[:len(dirs)-1]
			entries, err := h.list(ctx, dir)
			if err != nil {
				yield(dest.File{}, err)
				return
			}
			for _, entry := range entries {
				name := path.Join(dir, entry.Name())
				switch {
				case dir == "." && strings.EqualFold(name, backup.OwnPrefix):
				case entry.IsDir():
					dirs = append(dirs, name)
				case !yield(dest.File{Name: name, SizeBytes: entry.Size(), Regular: entry.Mode().IsRegular()}, nil):
					return
				}
			}
		}
	}
}
