package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// A store of an older version is upgraded when it is opened, and keeps what it has; the upgrade may be interrupted
// between its two steps. One of a later version is not touched.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := newAuthor(t, testOrigin)
	write := func(version int, record, file bool) {
		t.Helper()
		db := openStore(t, dir, Options{})
		l := openLedger(t, db)
		if size, _ := l.Position(); size == 0 {
			must(t, l.Append(a.genesis(), a.assign()))
		}
		checkWell(t, l, a)
		if record {
			must(t, db.update("test", func(tx *badger.Txn) error {
				return tx.Set([]byte(keySchema), strconv.AppendInt(nil, int64(version), 10))
			}))
		}
		must(t, db.Close())
		if file {
			must(t, os.WriteFile(filepath.Join(dir, formatName), fmt.Appendf(nil, "%s%d\n", formatText, version), 0o600))
		}
	}
	versions := func() (record int, file string) {
		t.Helper()
		db := openStore(t, dir, Options{})
		record, err := db.schema()
		must(t, err)
		must(t, db.Close())
		text, err := os.ReadFile(filepath.Join(dir, formatName))
		must(t, err)
		return record, string(text)
	}
	for _, older := range []struct{ record, file bool }{{true, true}, {false, true}} {
		write(schemaVersion-1, older.record, older.file)
		if record, file := versions(); record != schemaVersion || file != fmt.Sprintf("%s%d\n", formatText, schemaVersion) {
			t.Errorf("after the upgrade the record says %d and the file %q", record, file)
		}
	}
	write(schemaVersion+1, true, false)
	if _, err := Open(dir, Options{Compactors: -1}); !errors.Is(err, ErrSchema) {
		t.Errorf("open a later record = %v, want ErrSchema", err)
	}
}
