package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wolkvox/backup/internal/durable"
)

// stateFiles calls each for the files of the state directory that cannot be made again: the authority's and the server's
// keys and certificates, and the first operator's credential. What is not there is not in the backup, such as the root's key
// where it is kept elsewhere.
func stateFiles(stateDir string, each func(path string, data []byte) error) error {
	root, err := os.OpenRoot(stateDir)
	if err != nil {
		return fmt.Errorf("back up the state directory: %w", err)
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inIdentity := path == identityDir || strings.HasPrefix(path, identityDir+"/")
		switch {
		case entry.IsDir() && path != "." && !inIdentity:
			return fs.SkipDir
		case !entry.Type().IsRegular() || !inIdentity && path != credentialFile || durable.IsTemp(entry.Name()):
			return nil
		}
		data, err := root.ReadFile(path)
		if err != nil {
			return err
		}
		return each(path, data)
	})
	if err := errors.Join(err, root.Close()); err != nil {
		return fmt.Errorf("back up the state directory: %w", err)
	}
	return nil
}

// Notes are empty files in the state directory that say what is not finished.
const (
	recoverNote   = "recover"            // every log is still to be marked as recovering
	restoringNote = "restore.unfinished" // a restore began and did not end
)

func writeNote(stateDir, name string) error {
	if err := durable.WriteFile(filepath.Join(stateDir, name), nil, 0o600); err != nil {
		return fmt.Errorf("write the note %s: %w", name, err)
	}
	return nil
}

// noted reports whether there is a note.
func noted(stateDir, name string) (bool, error) {
	_, err := os.Lstat(filepath.Join(stateDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the note %s: %w", name, err)
	}
	return true, nil
}

func removeNote(stateDir, name string) error {
	err := os.Remove(filepath.Join(stateDir, name))
	if err == nil {
		err = durable.SyncDir(stateDir)
	}
	if err != nil {
		return fmt.Errorf("remove the note %s: %w", name, err)
	}
	return nil
}

// asideName returns the name under which what is damaged is kept.
func asideName(name string, at time.Time) string {
	return name + ".set-aside-" + at.UTC().Format("20060102T150405Z")
}
