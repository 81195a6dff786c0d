package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/internal/store"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func asides(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), asidePrefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

func damage(t testing.TB, dir string) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(dir, Dir, "store.format"), []byte("nonsense"), 0o600))
}

// TestOpen sets a damaged store aside, keeps the newest three, and touches nothing else.
func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "identity"), []byte("a secret"), 0o600))
	for round := range 6 {
		db, aside, err := Open(t.Context(), dir, store.Options{})
		check(t, err)
		if (aside != nil) != (round > 0) {
			t.Fatalf("round %d: set aside %v", round, aside)
		}
		if aside != nil {
			if !errors.Is(aside.Why, store.ErrDamaged) || !strings.Contains(aside.String(), aside.Path) {
				t.Errorf("it says %q", aside)
			}
			if text, err := os.ReadFile(filepath.Join(aside.Path, "store.format")); err != nil || string(text) != "nonsense" {
				t.Errorf("what was set aside holds %q, %v", text, err)
			}
		}
		check(t, db.Close())
		if got := asides(t, dir); len(got) != min(round, kept) {
			t.Errorf("round %d: kept are %v", round, got)
		}
		damage(t, dir)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "identity")); err != nil || string(text) != "a secret" {
		t.Errorf("the identity is %q, %v", text, err)
	}
}

// TestClockWentBack keeps what was set aside last, whatever its name says.
func TestClockWentBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, year := range []string{"2990", "2991", "2992"} {
		check(t, os.Mkdir(filepath.Join(dir, asidePrefix+year+"0101T000000Z"), 0o700))
	}
	check(t, os.Mkdir(filepath.Join(dir, Dir), 0o700))
	aside, err := Discard(t.Context(), dir, store.ErrDamaged, nil)
	check(t, err)
	if got := asides(t, dir); len(got) != kept || got[0] != filepath.Base(aside.Path) {
		t.Errorf("kept are %v, set aside was %s", got, aside.Path)
	}
}

// TestNotDamaged leaves alone what is no damage.
func TestNotDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, _, err := Open(t.Context(), dir, store.Options{})
	check(t, err)
	if _, _, err := Open(t.Context(), dir, store.Options{}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("Open of an open store = %v, want ErrInUse", err)
	}
	check(t, db.Close())
	check(t, os.WriteFile(filepath.Join(dir, Dir, "store.format"), []byte("wolkvox-backup store 99\n"), 0o600))
	if _, _, err := Open(t.Context(), dir, store.Options{}); !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), "later") {
		t.Errorf("Open of a newer version's store = %v, want ErrSchema and what to do", err)
	}
	if got := asides(t, dir); len(got) != 0 {
		t.Errorf("set aside were %v", got)
	}
}

// TestCondemned sets aside, before it is opened, what was found to be damaged, and only that.
func TestCondemned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, _, err := Open(t.Context(), dir, store.Options{})
	check(t, err)
	check(t, db.Close())
	check(t, Condemn(dir, store.ErrDamaged))
	for round := range 2 {
		db, aside, err := Open(t.Context(), dir, store.Options{})
		check(t, err)
		check(t, db.Close())
		if (aside != nil) != (round == 0) || len(asides(t, dir)) != 1 {
			t.Errorf("round %d: set aside %v, kept are %v", round, aside, asides(t, dir))
		}
		if aside != nil && (!errors.Is(aside.Why, store.ErrDamaged) || !strings.Contains(aside.String(), aside.Path)) {
			t.Errorf("it says %q", aside)
		}
	}
}

// TestHeld leaves a damaged store that cannot be renamed to the next start.
func TestHeld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, _, err := Open(t.Context(), dir, store.Options{})
	check(t, err)
	check(t, db.Close())
	damage(t, dir)
	held := folder{dir, func(string, string) error { return errors.New("a file in it is open") }}
	if _, _, err := held.open(t.Context(), store.Options{}); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "start it again") {
		t.Errorf("Open = %v, want ErrHeld", err)
	}
	check(t, os.WriteFile(filepath.Join(dir, Dir, "store.format"), []byte("wolkvox-backup store 2\n"), 0o600)) // it would open now
	db, aside, err := Open(t.Context(), dir, store.Options{})
	check(t, err)
	check(t, db.Close())
	if aside == nil || len(asides(t, dir)) != 1 {
		t.Errorf("set aside %v, kept are %v", aside, asides(t, dir))
	}
}
