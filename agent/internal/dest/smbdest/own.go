package smbdest

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
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

const (
	// tempMark is in the names of own files that are being written, after a dot and the file's name.
	tempMark = ".tmp-"
	// An own file that somebody reads at this moment cannot be replaced; that takes no longer than these attempts.
	replaceAttempts = 10
	replacePause    = 100 * time.Millisecond
)

// ReadOwn implements dest.Keeper.
func (h *handle) ReadOwn(ctx context.Context, name string) ([]byte, error) {
	r, err := h.read(ctx, ownPath(name))
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
	var id [8]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	dir, base := path.Split(ownPath(name))
	temp := dir + "." + base + tempMark + hex.EncodeToString(id[:])
	write := func(share *smb2.Share) error {
		f, err := share.OpenFile(h.path(temp), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err == nil {
			err = f.Sync()
		}
		return errors.Join(err, f.Close())
	}
	err := h.do(ctx, write)
	if isMissing(err) {
		if err = h.makeDir(ctx, path.Dir(temp)); err == nil {
			err = h.do(ctx, write)
		}
	}
	if err == nil {
		err = h.replace(ctx, temp, ownPath(name))
	}
	if err != nil {
		if !errors.Is(err, dest.ErrUnreachable) {
			err = errors.Join(err, h.remove(context.WithoutCancel(ctx), temp))
		}
		return err
	}
	touched := make(dirSet)
	touched.add(ownPath(name))
	return h.syncDirs(ctx, touched)
}

// replace renames from to to, replacing what has that name. Windows refuses that while somebody reads it.
func (h *handle) replace(ctx context.Context, from, to string) error {
	for attempt := 1; ; attempt++ {
		err := h.do(ctx, func(share *smb2.Share) error { return share.Rename(h.path(from), h.path(to)) })
		if attempt == replaceAttempts || !hasAny(err, statusSharingViolation, statusAccessDenied) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(replacePause):
		}
	}
}

// RemoveOwn implements dest.Keeper.
func (h *handle) RemoveOwn(ctx context.Context, name string) error {
	return h.remove(ctx, ownPath(name))
}

func ownPath(name string) string { return backup.OwnPrefix + "/" + name }

// isTemp reports whether a name in the own folder is that of a file that was being written.
func isTemp(name string) bool {
	return strings.HasPrefix(name, ".") && strings.Contains(name, tempMark)
}

// MoveAside implements dest.Mover.
func (h *handle) MoveAside(ctx context.Context, name, to string) error {
	to = ownPath(to)
	if err := h.regular(ctx, name); err != nil {
		return err
	}
	if err := h.place(ctx, name, to); err != nil {
		return err
	}
	touched := make(dirSet)
	touched.add(name)
	touched.add(to)
	return h.syncDirs(ctx, touched)
}

// Settle implements dest.Settler.
func (h *handle) Settle(ctx context.Context, names []string) error {
	group := newGroup()
	present := make([]bool, len(names))
	for i, name := range names {
		group.Go(func() error {
			err := h.flush(ctx, name)
			present[i] = err == nil
			// What is not there, or cannot be opened, is named when it is read.
			if isMissing(err) || errors.Is(err, dest.ErrConflict) ||
				hasAny(err, statusAccessDenied, statusSharingViolation, statusFileIsADirectory) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	dirs := make(dirSet)
	for i, name := range names {
		if present[i] {
			dirs.add(name)
		}
	}
	return h.syncDirs(ctx, dirs)
}

// List implements dest.Lister.
func (h *handle) List(ctx context.Context) iter.Seq2[dest.File, error] {
	return func(yield func(dest.File, error) bool) {
		if _, err := h.list(ctx, ".", yield); err != nil {
			yield(dest.File{}, err)
		}
	}
}

// list yields what is in one folder and below, and returns whether more is wanted.
func (h *handle) list(ctx context.Context, dir string, yield func(dest.File, error) bool) (more bool, err error) {
	var entries []fs.FileInfo
	err = h.do(ctx, func(share *smb2.Share) (err error) { entries, err = share.ReadDir(h.path(dir)); return err })
	if isMissing(err) { // deleted meanwhile, or all of the place is gone
		err = h.missing(ctx, dir)
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
	}
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		link := isLink(entry)
		switch {
		case isOwn(name):
		case entry.IsDir() && !link:
			if more, err := h.list(ctx, name, yield); err != nil || !more {
				return more, err
			}
		default:
			if !yield(dest.File{Name: name, SizeBytes: entry.Size(), Regular: !link}, nil) {
				return false, nil
			}
		}
	}
	return true, nil
}

// Tags of reparse points (MS-FSCC section 2.1.2.1): those with the bit are links, and what an NFS server of Windows makes
// of links and devices. Others, such as a deduplicated file, are files.
const (
	tagIsLink = 0x20000000
	tagNFS    = 0x80000014
)

func isLink(entry fs.FileInfo) bool {
	stat, ok := entry.Sys().(*smb2.FileStat)
	return ok && entry.Mode()&fs.ModeSymlink != 0 && (stat.ReparsePointTag&tagIsLink != 0 || stat.ReparsePointTag == tagNFS)
}

// isOwn reports whether a name at the top of the place is the agent's own, in any case.
func isOwn(name string) bool {
	return len(name) >= len(backup.OwnPrefix) && strings.EqualFold(name[:len(backup.OwnPrefix)], backup.OwnPrefix)
}

// Space implements dest.Spacer. The server counts quotas where it has any; it does not tell of inodes.
func (h *handle) Space(ctx context.Context) (dest.Space, error) {
	var info smb2.FileFsInfo
	if err := h.do(ctx, func(share *smb2.Share) (err error) { info, err = share.Statfs(h.smb.root); return err }); err != nil {
		return dest.Space{}, err
	}
	unit := int64(info.BlockSize())
	return dest.Space{
		FreeBytes:  int64(info.AvailableBlockCount()) * unit,
		FreeInodes: -1,
		TotalBytes: int64(info.TotalBlockCount()) * unit,
	}, nil
}
