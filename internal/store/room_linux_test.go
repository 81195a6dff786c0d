package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Without room a change is refused before anything is touched, and made once there is room again.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	var full error
	db := openStore(t, t.TempDir(), Options{Room: func() error { return full }})
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis()))
	full = errors.New("the volume has 0 MiB free")
	entry := a.assign()
	if err := l.Append(entry); !errors.Is(err, ErrNoRoom) || !errors.Is(err, full) {
		t.Errorf("Append without room = %v, want ErrNoRoom", err)
	}
	if size, _ := l.Position(); size != 1 {
		t.Errorf("the ledger has %d entries, want 1", size)
	}
	full = nil
	must(t, l.Append(entry))
	checkWell(t, l, a)
}

// The logs that Badger writes to through memory maps have their space before anything is written.
func TestLogsAreOccupied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openStore(t, dir, Options{Room: func() error { return nil }})
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	for n := int64(1); n <= 60; n++ { // more than one memtable
		stage(t, l, n, a.makeLines(n, 2000))
		must(t, l.Append(a.add(a.sealed(n, a.lines[n]))))
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*"+logSuffix))
	must(t, err)
	if len(logs) == 0 {
		t.Fatal("the store has no log")
	}
	for _, log := range logs {
		info, err := os.Stat(log)
		must(t, err)
		stat, ok := info.Sys().(*syscall.Stat_t)
		if occupied := stat.Blocks * 512; !ok || occupied < info.Size() {
			t.Errorf("%s has %d bytes and occupies %d", strings.TrimPrefix(log, dir), info.Size(), occupied)
		}
	}
}
