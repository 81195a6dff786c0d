package authority

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/config"
)

// A new intermediate wants the root's key back where that was moved away, and takes it from the file that is named.
func TestRotateWithTheRootsKeyAway(t *testing.T) {
	t.Parallel()
	dir, at := t.TempDir(), time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	c := config.Config{StateDir: dir}
	made, err := identity.NewAuthority(at)
	if err == nil {
		err = errors.Join(durable.CreateDir(filepath.Join(dir, DirName), 0o700), made.Save(filepath.Join(dir, DirName)))
	}
	if err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(t.TempDir(), "root.key")
	if state, err := ExportRoot(c, away); err != nil || state.RootKey != "" {
		t.Fatalf("ExportRoot = %q, %v", state.RootKey, err)
	}
	if _, err := Rotate(c, "", at); !errors.Is(err, identity.ErrRootKeyAway) {
		t.Errorf("Rotate without the root's key = %v, want ErrRootKeyAway", err)
	}
	rotated, err := Rotate(c, away, at)
	if err != nil || rotated.Pin() != made.Pin() || rotated.Issuer().Equal(made.Issuer()) {
		t.Errorf("Rotate with it: %v", err)
	}
}
