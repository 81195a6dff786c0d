package store

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// A year of nights takes about the space of what was written in it: the store is opened as a service opens it, and
// neither the states that every receipt replaces, nor heads and outbox, pile up.
func TestYearOfNights(t *testing.T) {
	t.Parallel()
	const nights, items, receipts = 365, 150, 8
	dir := t.TempDir()
	db := openStore(t, dir, Options{Compactors: 2, noSync: true})
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	var written int64
	count := func(leaves ...[]byte) [][]byte {
		for _, leaf := range leaves {
			written += int64(len(leaf))
		}
		return leaves
	}
	for n := int64(1); n <= nights; n++ {
		lines := a.makeLines(n, items)
		count(lines...)
		stage(t, l, n, lines)
		must(t, l.Append(count(a.add(a.sealed(n, lines)))...))
		for r := range int64(receipts) {
			first := r * items / receipts
			must(t, l.Append(count(a.add(a.delivered(n, span(first, (r+1)*items/receipts-1))))...))
		}
		delete(a.lines, n)
	}
	must(t, db.Close())
	occupied := occupiedBytes(t, dir)
	t.Logf("%d nights: %d bytes of entries and lines, %d bytes on the disk", nights, written, occupied)
	if most := 3*written + 64<<20; occupied > most {
		t.Errorf("%d bytes of entries and lines occupy %d bytes, more than %d", written, occupied, most)
	}
}

// Bitmaps of large manifests are values of their own, which each receipt replaces: what they took is given back.
func TestReplacedValuesAreCollected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openStore(t, dir, Options{Compactors: 2, noSync: true})
	random := rand.New(rand.NewPCG(1, 2))
	written := int64(0)
	const rounds = 250
	for round := range rounds {
		value := make([]byte, 1<<20)
		for i := range value {
			value[i] = byte(random.Uint32())
		}
		written += int64(len(value))
		must(t, db.update("test", func(tx *badger.Txn) error { return tx.Set(ledgerID(1).key(tableItems, int64(round%4)), value) }))
		// What makes tables, and so shows Badger what was replaced.
		must(t, db.update("test", func(tx *badger.Txn) error {
			for i := range int64(4) {
				if err := tx.Set(ledgerID(1).key(tableEntries, int64(round)*4+i), value[:ledger.MaxEntryBytes-1000]); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	must(t, db.badger.Flatten(1))
	before := valuesBytes(t, dir)
	db.collect(t.Context())
	after := valuesBytes(t, dir)
	t.Logf("%d bytes of values were written, %d were there, %d are left", written, before, after)
	if after > written/2 {
		t.Errorf("of %d bytes of values, 4 MiB of which count, %d are left", written, after)
	}
}

func valuesBytes(t *testing.T, dir string) (sum int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	must(t, err)
	for _, name := range names {
		info, err := os.Stat(name)
		must(t, err)
		sum += info.Size()
	}
	return sum
}

// occupiedBytes sums up the files of a closed store.
func occupiedBytes(t *testing.T, dir string) (sum int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, logSuffix) {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	}))
	return sum
}
