package localact

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/registry"
)

var start = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newTaker(t *testing.T) *Taker {
	t.Helper()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	reg, err := registry.Open(filepath.Join(dir, "registry"), log)
	check(t, err)
	t.Cleanup(func() { check(t, reg.Close()) })
	return &Taker{StateDir: dir, Registry: reg, Logger: log}
}

func leave(t *testing.T, stateDir, name string, at time.Time) (withdraw func() error) {
	t.Helper()
	act, err := NewAct("credential create", "because", "", at, map[string]string{"operator": name})
	check(t, err)
	withdraw, err = Leave(stateDir, Act{act, &registry.Credential{Role: identity.OperatorRole(name), Serial: name, IssuedAt: at, End: at.Add(time.Hour), IssuedBy: Who}})
	check(t, err)
	return withdraw
}

func subjects(t *testing.T, r *registry.Registry) (all []string) {
	t.Helper()
	check(t, r.AdminLog("", 0, func(record registry.AdminRecord) error {
		if record.Who != Who || record.Reason != "because" || record.Outcome != registry.OutcomeOK {
			t.Errorf("%+v", record)
		}
		all = append(all, record.Subject)
		return nil
	}))
	return all
}

func TestActsAreTakenInInTheirOrder(t *testing.T) {
	t.Parallel()
	taker := newTaker(t)
	check(t, taker.TakeIn(t.Context())) // nothing was ever left
	leave(t, taker.StateDir, "second", start.Add(time.Nanosecond))
	leave(t, taker.StateDir, "first", start)
	lost := leave(t, taker.StateDir, "lost", start.Add(time.Hour))
	check(t, lost())
	check(t, taker.TakeIn(t.Context()))
	check(t, lost()) // too late, or again: nothing
	got := subjects(t, taker.Registry)
	if len(got) != 2 || got[0] != `{"operator":"first"}` || got[1] != `{"operator":"second"}` {
		t.Errorf("the log has %q", got)
	}
	if known, err := taker.Registry.Credentials(""); err != nil || len(known) != 2 {
		t.Errorf("the credentials are %+v, %v", known, err)
	}
}

// The process ends after the registry has the act, and before its file is gone.
func TestActsAreTakenInOnce(t *testing.T) {
	t.Parallel()
	taker := newTaker(t)
	leave(t, taker.StateDir, "maria", start)
	paths, err := filepath.Glob(filepath.Join(taker.StateDir, dirName, "*"+suffix))
	check(t, err)
	a, err := read(paths[0])
	check(t, err)
	name := filepath.Base(paths[0])
	check(t, taker.Registry.TakeIn(name[:len(name)-len(suffix)], a.Act, a.Credential))
	for range 2 {
		check(t, taker.TakeIn(t.Context()))
	}
	if got := subjects(t, taker.Registry); len(got) != 1 {
		t.Errorf("the log has %q", got)
	}
	if _, err := os.Stat(paths[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestActsAreForTheServerOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	leave(t, dir, "maria", start)
	check(t, filepath.WalkDir(filepath.Join(dir, dirName), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := entry.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		return nil
	}))
}
