package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/backup"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/registry"
)

var (
	// ErrNotEmpty says that a state directory to be restored into has something in it.
	ErrNotEmpty = errors.New("the state directory is not empty")
	// ErrUnfinished says that a restore began and did not end.
	ErrUnfinished = errors.New("a restore was interrupted")
)

// Restore makes the state directory that the backup in the file from is of, with the key in the file identityPath, and
// returns when the backup was made. The ledgers are not in it: the next [Run] recovers them from the agents. Nothing is written
// before the whole backup was read and found good. The error wraps [ErrNotEmpty], or one of package backup.
func Restore(c config.Config, from, identityPath string) (createdAt time.Time, err error) {
	key, err := identity.ReadPrivate(identityPath)
	if err != nil {
		return time.Time{}, err
	}
	file, err := os.Open(from)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the backup: %w", err)
	}
	defer file.Close()
	nothing := backup.Handler{File: func(string, []byte) error { return nil }, Record: func([]byte, []byte) error { return nil }}
	if createdAt, err = backup.Read(file, key, nothing); err != nil {
		return time.Time{}, err
	}
	if err := checkEmpty(c.StateDir); err != nil {
		return time.Time{}, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return time.Time{}, fmt.Errorf("read the backup: %w", err)
	}
	if err := restore(c.StateDir, file, key, createdAt); err != nil {
		return time.Time{}, fmt.Errorf("%w; what was restored so far is in %s: remove it before the next attempt", err, c.StateDir)
	}
	return createdAt, nil
}

func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look into the state directory: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() != "lost+found" { // of a new volume
			return fmt.Errorf("restore into %s: %w: it holds %s; move what is there away first", dir, ErrNotEmpty, entry.Name())
		}
	}
	return nil
}

// restore fills an empty state directory. Until it is done, a note keeps every other command from using it.
func restore(stateDir string, from io.Reader, key []byte, createdAt time.Time) (err error) {
	if err := durable.CreateDir(stateDir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	if err := writeNote(stateDir, restoringNote); err != nil {
		return err
	}
	reg, err := registry.Open(filepath.Join(stateDir, registryDir), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reg.Close()) }()
	restoration, err := reg.Restore()
	if err != nil {
		return err
	}
	defer restoration.Close()
	write := func(path string, data []byte) error {
		path = filepath.Join(stateDir, filepath.FromSlash(path))
		if err := durable.CreateDir(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("make the directory of %s: %w", path, err)
		}
		return identity.WritePrivate(path, data)
	}
	if _, err := backup.Read(from, key, backup.Handler{File: write, Record: restoration.Put}); err != nil {
		return err
	}
	if err := restoration.Commit(); err != nil {
		return err
	}
	if err := recordBackup(reg, createdAt); err != nil {
		return err
	}
	if err := writeNote(stateDir, recoverNote); err != nil {
		return err
	}
	return removeNote(stateDir, restoringNote)
}

// recordBackup takes down the backup that was restored: a backup does not have itself.
func recordBackup(reg *registry.Registry, createdAt time.Time) error {
	keys, err := reg.Snapshot(func([]byte, []byte) error { return nil })
	if err != nil {
		return err
	}
	return reg.RecordBackup(registry.Backup{At: createdAt, Keys: keys})
}

// checkFinished refuses a state directory that a restore left half-way.
func checkFinished(stateDir string) error {
	unfinished, err := noted(stateDir, restoringNote)
	if err == nil && unfinished {
		err = fmt.Errorf("%w: empty %s and run `wolkvox-server restore` again", ErrUnfinished, stateDir)
	}
	return err
}
