// Package state opens the agent's store, which is disposable: one that is damaged is set aside, under a name that tells
// when, and a fresh one is begun in its place, which the server and the destinations fill again. Who the agent is lies
// elsewhere and is never touched. It does not decide what is damage (package store), and repairs nothing.
package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/store"
)

const (
	// Dir is the store's folder below the state directory.
	Dir = "store"
	// asidePrefix begins the names of what was set aside.
	asidePrefix = Dir + ".set-aside-"
	// kept is how many of them are kept.
	kept = 3
	// condemnedFile, in the store's folder, says why the store is to be set aside before it is opened again.
	condemnedFile = "store.damaged"
)

// ErrHeld says that a damaged store cannot be set aside in this process: on Windows a folder is not renamed while a file in
// it is open, and Badger leaves files open when it refuses a store. The next process does it first of all.
var ErrHeld = errors.New("the damaged store is set aside at the next start of the agent: start it again")

// SetAside says that a store was set aside.
type SetAside struct {
	Path string // where it is now
	Why  error  // a [store.ErrDamaged]
}

// String is a sentence for a person.
func (s *SetAside) String() string {
	return fmt.Sprintf("the agent's own store was damaged and set aside as %s, and a new one is filled from the server and the destinations: "+
		"nothing is fetched again, and there is nothing to do but to check the disk (%v)", s.Path, s.Why)
}

// Open opens the store below stateDir. One that is damaged is set aside, and a fresh one is opened. Other errors are as
// [store.Open] has them; that of a newer version's store, which is no damage, says what to do.
func Open(ctx context.Context, stateDir string, o store.Options) (*store.DB, *SetAside, error) {
	return folder{stateDir, os.Rename}.open(ctx, o)
}

// folder is a state directory, and how the store's folder in it is renamed.
type folder struct {
	stateDir string
	move     func(from, to string) error
}

func (f folder) open(ctx context.Context, o store.Options) (*store.DB, *SetAside, error) {
	dir := filepath.Join(f.stateDir, Dir)
	if why, err := condemned(dir); err != nil {
		return nil, nil, err
	} else if why != nil {
		return f.begin(ctx, why, o)
	}
	db, err := store.Open(dir, o)
	switch {
	case errors.Is(err, store.ErrSchema):
		return nil, nil, fmt.Errorf("%w: run that version or a later one; or move %s away, the store comes back from the server", err, dir)
	case !errors.Is(err, store.ErrDamaged):
		return db, nil, err
	}
	return f.begin(ctx, err, o)
}

// begin sets the store aside because of why and opens a fresh one.
func (f folder) begin(ctx context.Context, why error, o store.Options) (*store.DB, *SetAside, error) {
	aside, err := f.discard(ctx, why, o.Logger)
	if err != nil {
		return nil, nil, err
	}
	db, err := store.Open(filepath.Join(f.stateDir, Dir), o)
	return db, aside, err
}

// Condemn has the next [Open] of the store below stateDir set it aside because of why.
func Condemn(stateDir string, why error) error {
	path := filepath.Join(stateDir, Dir, condemnedFile)
	if err := os.WriteFile(path, []byte(why.Error()), 0o600); err != nil {
		return fmt.Errorf("note that the store is damaged (%w): %w", why, err)
	}
	return durable.SyncDir(filepath.Dir(path))
}

// condemned returns why the store in dir is to be set aside, nil where it is not.
func condemned(dir string) (why, err error) {
	text, err := os.ReadFile(filepath.Join(dir, condemnedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whether the store is damaged: %w", err)
	}
	return fmt.Errorf("as was found before: %s: %w", text, store.ErrDamaged), nil
}

// Discard sets the store below stateDir aside because of why; nobody may have it open. The newest three that were set aside
// are kept, by their names. Without a logger nothing is logged. [ErrHeld] says that the next [Open] in another process does
// it.
func Discard(ctx context.Context, stateDir string, why error, logger *slog.Logger) (*SetAside, error) {
	return folder{stateDir, os.Rename}.discard(ctx, why, logger)
}

func (f folder) discard(ctx context.Context, why error, logger *slog.Logger) (*SetAside, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	path, err := f.rename(time.Now())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set the damaged store aside (%w): %w: %w", why, err, ErrHeld), Condemn(f.stateDir, why))
	}
	logger.LogAttrs(ctx, slog.LevelError, "the store was damaged and set aside", slog.Any("error", why), slog.String("path", path))
	if err := removeOldest(f.stateDir, filepath.Base(path)); err != nil {
		logger.LogAttrs(ctx, slog.LevelWarn, "stores that were set aside earlier not removed", slog.Any("error", err))
	}
	return &SetAside{path, why}, nil
}

// rename gives the store a name with the time, and a number where that is taken.
func (f folder) rename(at time.Time) (string, error) {
	path := filepath.Join(f.stateDir, asidePrefix+at.UTC().Format("20060102T150405Z"))
	name := path
	for n := 2; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s-%d", path, n)
	}
	if err := f.move(filepath.Join(f.stateDir, Dir), name); err != nil {
		return "", err
	}
	return name, durable.SyncDir(f.stateDir)
}

// removeOldest removes all that were set aside but the newest, of which newest is one whatever the clock said.
func removeOldest(stateDir, newest string) error {
	entries, err := os.ReadDir(stateDir)
	if err != nil {
		return err
	}
	var earlier []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), asidePrefix) && e.Name() != newest {
			earlier = append(earlier, e.Name())
		}
	}
	slices.Sort(earlier)
	var errs []error
	for _, name := range earlier[:max(len(earlier)-(kept-1), 0)] {
		errs = append(errs, os.RemoveAll(filepath.Join(stateDir, name)))
	}
	return errors.Join(errs...)
}
