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
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// schemaVersion is raised whenever an older version of the program could not read what this one writes, or would take it
// for something else. A store of an older version is upgraded when it is opened ([DB.start]):
//
//	1  the first
//	2  a ledger may have the record of a cut that is not complete; nothing of a store of version 1 changes
const schemaVersion = 2

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
	version   int  // that it names, 0 where there is none

	mu       sync.Mutex      // guards what follows
	occupied map[string]bool // logs whose space is reserved, by name
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
	f.version, err = strconv.Atoi(version)
	if !ok || err != nil || f.version < 1 {
		return nil, fmt.Errorf("the file %s does not name a format: %w", formatName, ErrDamaged)
	} else if f.version > schemaVersion {
		return nil, fmt.Errorf("format %d, this version reads up to %d: %w", f.version, schemaVersion, ErrSchema)
	}
	return f, f.check()
}

// check reports a folder that has lost Badger's list of tables: Badger would begin an empty one and remove the tables.
func (f *folder) check() error {
	_, err := os.Stat(filepath.Join(f.dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return err
}

// checkAccess returns why the files of a store cannot be used, where that is no damage: rights, a full volume. Badger's
// errors do not tell.
func checkAccess(dir string) error {
	if dir == "" {
		return nil
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.OpenFile(filepath.Join(dir, name.Name()), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(dir, "space-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 64<<10))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// format writes the format file durably. The database has its schema record by then.
func (f *folder) format() error {
	if f.version == schemaVersion {
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
	f.formatted, f.version = true, schemaVersion
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
