package rsyncdest

import (
	"context"
	"errors"
	"path/filepath"

	"os"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

const (
	ownDir     = backup.OwnPrefix + "/"
	stagingDir = "staging/" // below ownDir
	// syncedFile, in the process's folder below stagingDir, is what is written and synced after others, so that their names
	// are durable.
	syncedFile = "/synced"
)

// push runs rsync to send files, synced where the receiving rsync can: an option that it does not know or allow is not given
// again by this process.
func (h *handle) push(ctx context.Context, c call) error {
	// New files and folders are for whom the umask of the receiving rsync lets.
	c.args = append([]string{"--whole-file", "--no-implied-dirs", "--chmod=F666,D777"}, c.args...)
	if !h.rsync.noFsync.Load() {
		synced := c
		synced.args = append([]string{"--fsync"}, c.args...)
		err := h.run(ctx, synced)
		failed, ok := errors.AsType[*failure](err)
		if !ok || !failed.refuses("--fsync") {
			return err
		}
		h.rsync.noFsync.Store(true)
	}
	return h.run(ctx, c)
}

// pushOwn replaces own files (names relative to ownDir) and makes their names, and those of all files that came before them,
// durable. The folder ownDir is made where it is absent; the place itself is not.
func (h *handle) pushOwn(ctx context.Context, files map[string][]byte) error {
	dir, err := h.rsync.makeFolder("o")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	barrier := stagingDir + h.rsync.process + syncedFile
	names := []string{}
	for name, data := range files {
		names = append(names, name)
		if err := writeSpool(filepath.Join(dir, filepath.FromSlash(name)), data); err != nil {
			return err
		}
	}
	if err := writeSpool(filepath.Join(dir, filepath.FromSlash(barrier)), []byte("synced\n")); err != nil {
		return err
	}
	// rsync sends the files of a folder before those of the folders below it: the last one is the deepest.
	return explained(h.push(ctx, call{
		args:  []string{"--ignore-times", h.local(dir), h.base + ownDir},
		names: append(names, barrier),
	}))
}

func writeSpool(path string, data []byte) error {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return spoolError(err)
	}
	return nil
}

// tempDir is the option that lets the receiving rsync write below the process's staging folder, on the place's file system
// and out of sight.
func (h *handle) tempDir() string {
	return "--temp-dir=" + ownDir + stagingDir + h.rsync.process
}

// NewStage implements dest.Stager.
func (h *handle) NewStage(ctx context.Context) (dest.Stage, error) {
	s, err := h.newStage(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// newStage makes the folder at the place, which shows whether it takes writes, and that in the spool.
func (h *handle) newStage(ctx context.Context) (*stage, error) {
	if err := h.pushOwn(ctx, nil); err != nil {
		return nil, err
	}
	dir, err := h.rsync.makeFolder("b")
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, filesDir), 0o700); err != nil {
		return nil, errors.Join(spoolError(err), os.RemoveAll(dir))
	}
	return &stage{handle: h, dir: dir, tree: make(map[dest.Move]string)}, nil
}
