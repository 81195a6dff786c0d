// Package state opens the agent's store, which is disposable: one that is damaged is set aside, under a name that tells
// when, and a fresh one is begun in its place, which the server and the destinations fill again. Who the agent is lies
// elsewhere and is never touched. It does not decide what is damage (package store), and repairs nothing.
package state

import (
	"context"
	"errors"
	"fmt"
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
)

// SetAside says that a store was set aside.
type SetAside struct {
	Path string // where it is now
	Why  error  // a [store.ErrDamaged]
}

// String is a sentence for a person.
func (s *SetAside) String() string {
	return fmt.Sprintf("the agent's own store was damaged (%v): it was set aside as %s, and a new one is filled from the server and the destinations; "+
		"nothing is fetched again, and there is nothing to do but to check the disk", s.Why, s.Path)
}

// Open opens the store below stateDir. One that is damaged is set aside, and a fresh one is opened. Other errors are as
// [store.Open] has them; that of a newer version's store, which is no damage, says what to do.
func Open(ctx context.Context, stateDir string, o store.Options) (*store.DB, *SetAside, error) {
	dir := filepath.Join(stateDir, Dir)
	db, err := store.Open(dir, o)
	switch {
	case errors.Is(err, store.ErrSchema):
		return nil, nil, fmt.Errorf("%w: run that version or a later one; or move %s away, the store comes back from the server", err, dir)
	case !errors.Is(err, store.ErrDamaged):
		return db, nil, err
	}
	aside, err := Discard(ctx, stateDir, err, o.Logger)
	if err != nil {
		return nil, nil, err
	}
	db, err = store.Open(dir, o)
	return db, aside, err
}

// Discard sets the store below stateDir aside because of why; nobody may have it open. The newest three that were set aside
// are kept, by their names. Without a logger nothing is logged.
func Discard(ctx context.Context, stateDir string, why error, logger *slog.Logger) (*SetAside, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	path, err := rename(stateDir, time.Now())
	if err != nil {
		return nil, fmt.Errorf("set the damaged store aside (%w): %w", why, err)
	}
	logger.LogAttrs(ctx, slog.LevelError, "the store was damaged and set aside", slog.Any("error", why), slog.String("path", path))
	if err := removeOldest(stateDir, filepath.Base(path)); err != nil {
		logger.LogAttrs(ctx, slog.LevelWarn, "stores that were set aside earlier not removed", slog.Any("error", err))
	}
	return &SetAside{path, why}, nil
}

// rename gives the store a name with the time, and a number where that is taken.
func rename(stateDir string, at time.Time) (string, error) {
	path := filepath.Join(stateDir, asidePrefix+at.UTC().Format("20060102T150405Z"))
	name := path
	for n := 2; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s-%d", path, n)
	}
	if err := os.Rename(filepath.Join(stateDir, Dir), name); err != nil {
		return "", err
	}
	return name, durable.SyncDir(stateDir)
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
