package evidence

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

const origin = ledger.Origin("wolkvox.com/backup/acme/nas/0123456789abcdef0123456789abcdef")

var at = time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)

func newLog(t *testing.T) (log *store.Ledger, head []byte) {
	t.Helper()
	db, err := store.Open("", store.Options{InMemory: true})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	key, err := ledger.NewSigningKey(string(origin), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	must(t, err)
	leaf, err := ledger.Sign(ledger.Entry{Origin: origin, Time: at, Body: ledger.Genesis{
		Storage: backup.StorageS3, WindowDays: 15, ServerKey: key.Verifier(),
	}}, key)
	must(t, err)
	log, err = db.Ledger(origin)
	must(t, err)
	must(t, log.Append(leaf))
	size, root := log.Position()
	head, err = ledger.SignHead(ledger.Head{Origin: origin, Size: size, Root: root}, key)
	must(t, err)
	return log, head
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	log, head := newLog(t)
	dir := t.TempDir()
	f := NewFolder(filepath.Join(dir, "evidence"))
	seen := map[string]bool{}
	for _, head := range [][]byte{head, []byte("another head\n")} { // within one second
		where, err := f.Keep(t.Context(), log, head, at)
		must(t, err)
		if seen[where] || !strings.HasPrefix(where, filepath.Join(dir, "evidence/acme/nas/0123456789abcdef0123456789abcdef/20260301T050000Z")) {
			t.Errorf("kept in %s", where)
		}
		seen[where] = true
		got, err := os.ReadFile(filepath.Join(where, ledger.ExportedHead))
		if err != nil || !bytes.Equal(got, head) {
			t.Errorf("the head is %q, %v", got, err)
		}
		file, err := os.Open(filepath.Join(where, ledger.ExportedLedger))
		must(t, err)
		entries := 0
		for _, err := range ledger.ReadExported(file) {
			must(t, err)
			entries++
		}
		must(t, file.Close())
		if entries != 1 {
			t.Errorf("%d entries", entries)
		}
		if again, err := f.Keep(t.Context(), log, head, at.AddDate(0, 0, 1)); err != nil || again != where {
			t.Errorf("what was kept is kept again in %s, %v", again, err)
		}
	}
}

// What could not be kept whole leaves nothing behind.
func TestKeepInterrupted(t *testing.T) {
	t.Parallel()
	log, head := newLog(t)
	dir := t.TempDir()
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	if _, err := NewFolder(dir).Keep(ctx, log, head, at); !errors.Is(err, stopped) {
		t.Errorf("Keep = %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
