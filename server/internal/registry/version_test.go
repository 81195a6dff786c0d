package registry

import (
	"errors"
	"log/slog"
	"strconv"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// A registry without a version is of the first, and gets that of the program; one of a later version is not opened.
func TestVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	reopen := func(change func(txn *badger.Txn) error) error {
		t.Helper()
		r, err := Open(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		err = r.db.View(func(txn *badger.Txn) error {
			item, err := txn.Get(key(versionTable))
			if err != nil {
				return err
			}
			return item.Value(func(text []byte) error {
				if string(text) != strconv.Itoa(version) {
					t.Errorf("the version is %q, want %d", text, version)
				}
				return nil
			})
		})
		if err == nil {
			err = r.db.Update(change)
		}
		return errors.Join(err, r.Close())
	}
	if err := reopen(func(txn *badger.Txn) error { return txn.Delete(key(versionTable)) }); err != nil {
		t.Fatal(err)
	}
	later := func(txn *badger.Txn) error { return txn.Set(key(versionTable), []byte("99")) }
	if err := reopen(later); err != nil {
		t.Fatal(err)
	}
	if err := reopen(later); !errors.Is(err, ErrVersion) {
		t.Errorf("open a registry of a later version = %v, want ErrVersion", err)
	}
}
