// Package evidence keeps what is cut off a ledger as plain files (proto/README.md, section 1.6), so that people and the
// stand-alone verifier can look at it. It only ever adds; it decides nothing and removes nothing.
package evidence

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Folder keeps evidence below a directory, which it creates with the first: TENANT/DESTINATION/LOGID/TIME, with the
// time in UTC. Its methods may be called concurrently.
type Folder struct{ dir string }

// NewFolder returns the folder at dir.
func NewFolder(dir string) *Folder { return &Folder{dir} }

// partial ends the name of a folder that is still being written.
const partial = ".partial"

// Keep exports the log as it is now, with the given head of it, and returns where. After a nil error it is durable and
// whole; what a crash leaves has a name that ends in ".partial". A log that was kept before with this head is not kept again:
// whoever cuts it back may have to try more than once.
func (f *Folder) Keep(ctx context.Context, log *store.Ledger, head []byte, at time.Time) (where string, err error) {
	o := log.Origin()
	parent := filepath.Join(f.dir, o.Tenant(), o.Destination(), o.LogID())
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep evidence of %s below %s: %w", o, parent, err)
		}
	}()
	if err := durable.CreateDir(parent, 0o700); err != nil {
		return "", err
	}
	if where, err := keptBefore(parent, head); err != nil || where != "" {
		return where, err
	}
	temp, err := os.MkdirTemp(parent, at.UTC().Format("20060102T150405Z")+"-*"+partial)
	if err != nil {
		return "", err
	}
	if err := f.export(ctx, temp, log, head); err != nil {
		return "", errors.Join(err, os.RemoveAll(temp))
	}
	where = temp[:len(temp)-len(partial)]
	if err := os.Rename(temp, where); err != nil {
		return "", err
	}
	return where, durable.SyncDir(parent)
}

// keptBefore returns where below parent a log with this head is, empty where nowhere.
func keptBefore(parent string, head []byte) (where string, err error) {
	found, err := os.ReadDir(parent)
	if err != nil {
		return "", err
	}
	for _, entry := range found {
		where := filepath.Join(parent, entry.Name())
		if strings.HasSuffix(where, partial) {
			continue
		}
		kept, err := os.ReadFile(filepath.Join(where, ledger.ExportedHead))
		if err == nil && bytes.Equal(kept, head) {
			return where, nil
		}
	}
	return "", nil
}

func (f *Folder) export(ctx context.Context, dir string, log *store.Ledger, head []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	manifests := path.Dir(ledger.ExportedManifest(1))
	if err := root.Mkdir(manifests, 0o700); err != nil {
		return err
	}
	err = log.Export(func(name string) (io.WriteCloser, error) {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		if name == ledger.ExportedHead { // the given one names all entries
			return discard{}, nil
		}
		return create(root, name)
	})
	if err != nil {
		return err
	}
	w, err := create(root, ledger.ExportedHead)
	if err != nil {
		return err
	}
	_, err = w.Write(head)
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return errors.Join(durable.SyncDirIn(root, manifests), durable.SyncDirIn(root, "."))
}

// file is one that is durable once it was closed without an error.
type file struct {
	*bufio.Writer
	file *os.File
}

func create(root *os.Root, name string) (*file, error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &file{bufio.NewWriterSize(f, 64<<10), f}, nil
}

// Close implements [io.Closer].
func (f *file) Close() error {
	if err := f.Flush(); err != nil {
		return errors.Join(err, f.file.Close())
	}
	return errors.Join(f.file.Sync(), f.file.Close())
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func (discard) Close() error { return nil }
