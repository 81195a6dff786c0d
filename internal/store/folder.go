package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// schemaVersion is raised whenever an older version of the program could not read what this one writes.
const schemaVersion = 1

const (
	lockName   = "store.lock"
	formatName = "store.format"
	formatText = "wolkvox-backup store "
)

// folder is a locked folder of a store. The format file is written once the database has its schema record: with it,
// a database without that record is known to have lost it.
type folder struct {
	dir       string
	lock      *os.File
	formatted bool // the format file was there
}

// openFolder creates dir where it is missing, locks it and reads the format file.
func openFolder(dir string) (_ *folder, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := closeToOthers(dir); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	if err := lockFile(lock); err != nil {
		return nil, err
	}
	f := &folder{dir: dir, lock: lock}
	text, err := os.ReadFile(filepath.Join(dir, formatName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, nil
	case err != nil:
		return nil, err
	}
	f.formatted = true
	version, ok := strings.CutPrefix(strings.TrimSuffix(string(text), "\n"), formatText)
	if n, err := strconv.Atoi(version); !ok || err != nil || n < 1 {
		return nil, fmt.Errorf("the file %s does not name a format: %w", formatName, ErrDamaged)
	} else if n > schemaVersion {
		return nil, fmt.Errorf("format %d, this version reads up to %d: %w", n, schemaVersion, ErrSchema)
	}
	return f, f.check()
}

// check reports a folder that has lost Badger's list of tables: Badger would begin an empty one and remove the tables.
func (f *folder) check() error {
	if _, err := os.Stat(filepath.Join(f.dir, "MANIFEST")); err != nil {
		return fmt.Errorf("the file MANIFEST cannot be read: %w: %w", err, ErrDamaged)
	}
	return nil
}

// format writes the format file durably. The database has its schema record by then.
func (f *folder) format() error {
	if f.formatted {
		return nil
	}
	name := filepath.Join(f.dir, formatName)
	file, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s%d\n", formatText, schemaVersion)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	f.formatted = true
	return syncDir(f.dir)
}

func (f *folder) close() error {
	if f == nil {
		return nil
	}
	return f.lock.Close()
}

// closeToOthers takes every right of other people on dir away. On Windows the installer's access list does that.
func closeToOthers(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return os.Chmod(dir, 0o700)
}
