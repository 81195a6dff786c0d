package rsyncdest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/wolkvox/backup/internal/durable"
)

// makeFolder makes a new folder in the process's part of the spool, for nobody else to read.
func (r *Rsync) makeFolder(kind string) (string, error) {
	if err := os.MkdirAll(r.spool, 0o700); err != nil {
		return "", spoolError(err)
	}
	dir := filepath.Join(r.spool, kind+strconv.FormatInt(r.folders.Add(1), 10))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", spoolError(err)
	}
	return dir, nil
}

// room returns an error where the spool has no room for so many bytes beside the reserve.
func (r *Rsync) room(sizeBytes int64) error {
	free, err := durable.FreeBytes(r.spool)
	if err != nil {
		return spoolError(err)
	}
	if free-sizeBytes < r.options.ReserveBytes {
		return spoolFull(fmt.Errorf("%s has %d bytes free, of which %d stay in reserve, and %d are wanted", r.spool, free, r.options.ReserveBytes, sizeBytes))
	}
	return nil
}

// sweepSpool deletes what earlier processes left in the place's part of the spool.
func (r *Rsync) sweepSpool(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Dir(r.spool))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return spoolError(err)
	}
	for _, entry := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if entry.Name() == r.process {
			continue
		}
		if err := os.RemoveAll(filepath.Join(filepath.Dir(r.spool), entry.Name())); err != nil {
			return spoolError(err)
		}
	}
	return nil
}

// local returns a folder of the process's spool as rsync's argument, relative to the handle's folder: a path of this machine
// may hold a colon, which rsync would take for a host.
func (h *handle) local(dir string) string {
	relative, err := filepath.Rel(h.dir, dir)
	if err != nil { // not for two folders of one spool
		relative = dir
	}
	return relative + "/"
}
