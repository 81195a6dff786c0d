package sftpdest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// errFolderAbsent says that a folder on the way is absent, which proves nothing while the place itself was not seen.
var errFolderAbsent = errors.New("a folder is not there")

func parent(name string) string { return path.Dir(name) }

// look makes sure that dir, "." for the place itself, is a folder inside the place, the server asked once for each. It
// returns errFolderAbsent, or dest.ErrConflict where something else has the name of a folder on the way.
func (h *handle) look(ctx context.Context, dir string) error {
	return h.walk(dir, func(dir string) error {
		if h.seen(dir) {
			return nil
		}
		return h.lookAt(ctx, dir)
	})
}

// lookAgain is look, without relying on what was seen before.
func (h *handle) lookAgain(ctx context.Context, dir string) error {
	return h.walk(dir, func(dir string) error { return h.lookAt(ctx, dir) })
}

// walk calls do with every folder on the way to dir and dir itself, until it returns an error.
func (h *handle) walk(dir string, do func(dir string) error) error {
	if dir == "." {
		return nil
	}
	for i, r := range dir {
		if r == '/' {
			if err := do(dir[:i]); err != nil {
				return err
			}
		}
	}
	return do(dir)
}

func (h *handle) seen(dir string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.dirs[dir]
	return ok
}

func (h *handle) setSeen(dir string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dirs[dir] = struct{}{}
}

// lookAt looks at one folder whose parent is one.
func (h *handle) lookAt(ctx context.Context, dir string) error {
	info, err := h.lstat(ctx, dir)
	switch {
	case isStatus(err, fxNoSuchFile):
		return fmt.Errorf("%w: %w", errFolderAbsent, err)
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		if err := h.lookThrough(ctx, dir); err != nil {
			return err
		}
	case !info.IsDir():
		return fmt.Errorf("%w: %q is not a folder", dest.ErrConflict, dir)
	}
	h.setSeen(dir)
	return nil
}

// lookThrough makes sure that a link leads to a folder inside the place. A server that does not resolve links, and gives
// back the path as it was, proves nothing.
func (h *handle) lookThrough(ctx context.Context, link string) error {
	var target string
	var info fs.FileInfo
	err := h.do(ctx, "follow", link, func() (err error) { target, err = h.client.RealPath(h.abs(link)); return err })
	if err == nil {
		err = h.do(ctx, "follow", link, func() (err error) { info, err = h.client.Stat(h.abs(link)); return err })
	}
	switch {
	case isStatus(err, fxNoSuchFile):
		return fmt.Errorf("%w: %q is a link that leads nowhere", dest.ErrConflict, link)
	case err != nil:
		return err
	case target == h.abs(link) || !strings.HasPrefix(target+"/", h.root+"/"):
		return fmt.Errorf("%w: %w", dest.ErrConflict, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeLink,
			Cause: fmt.Errorf("%q is a link that leads out of the place, to %s", link, target)})
	case !info.IsDir():
		return fmt.Errorf("%w: %q is a link that leads to no folder", dest.ErrConflict, link)
	}
	return nil
}

// placeThere makes sure that the place itself is still there.
func (h *handle) placeThere(ctx context.Context) error {
	var info fs.FileInfo
	err := h.do(ctx, "look at", "the folder", func() (err error) { info, err = h.client.Stat(h.abs(".")); return err })
	if isStatus(err, fxNoSuchFile) || err == nil && !info.IsDir() {
		return h.sftp.unreachable(fmt.Errorf("the folder %s is no longer there: %w", h.root, orNoFolder(err)))
	}
	return err
}

func orNoFolder(err error) error {
	if err == nil {
		return errors.New("something else has its name")
	}
	return err
}

// provenAbsent turns an err that says that name was not found into fs.ErrNotExist, where every folder on the way, or the
// absence of one, was seen at a place that is there. Other errors are returned as they are.
func (h *handle) provenAbsent(ctx context.Context, name string, err error) error {
	if !errors.Is(err, errFolderAbsent) && !isStatus(err, fxNoSuchFile) {
		return err
	}
	if looked := h.lookAgain(ctx, parent(name)); looked != nil && !errors.Is(looked, errFolderAbsent) {
		return looked
	}
	if err := h.placeThere(ctx); err != nil {
		return err
	}
	return absent(name)
}

// vanished turns an err that says that a folder which was seen is not found any more into dest.ErrUnreachable: another file
// system may be mounted there, or none. Other errors are returned as they are.
func (h *handle) vanished(err error) error {
	if isStatus(err, fxNoSuchFile) {
		return h.sftp.unreachable(fmt.Errorf("a folder that was there is gone from %s: %w", h.root, err))
	}
	return err
}

// absent is the error of a name that is truly absent.
func absent(name string) error {
	return &dest.CodeError{Space: dest.SpaceSFTP, Number: fxNoSuchFile, Name: "SSH_FX_NO_SUCH_FILE",
		Cause: fmt.Errorf("%q: %w", name, fs.ErrNotExist)}
}

// makeDir makes a folder of the place, and those that lead there, where they are absent. Other workers, and other
// programs, may be making the same.
func (h *handle) makeDir(ctx context.Context, dir string) error {
	h.making.Lock()
	defer h.making.Unlock()
	sure := false // that the place is there
	return h.walk(dir, func(dir string) error {
		if h.seen(dir) {
			return nil
		}
		if err := h.lookAt(ctx, dir); !errors.Is(err, errFolderAbsent) {
			return err
		}
		if dir == ownDir && h.ownSeen {
			return h.sftp.unreachable(fmt.Errorf("the folder %s, which was there, is gone from %s: another may be mounted there", ownDir, h.root))
		}
		if !sure {
			if err := h.placeThere(ctx); err != nil {
				return err
			}
			sure = true
		}
		err := h.do(ctx, "make the folder", dir, func() error { return h.client.Mkdir(h.abs(dir)) })
		if err == nil {
			h.setSeen(dir)
			return nil
		}
		if errors.Is(err, dest.ErrUnreachable) || ctx.Err() != nil {
			return err
		}
		if again := h.lookAt(ctx, dir); !errors.Is(again, errFolderAbsent) {
			return again // somebody was faster
		}
		return h.withEvidence(ctx, err, 0)
	})
}
