package registry

import (
	"bytes"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// Rebuild makes the catalog of one log again: first all that the log names is put beside the catalog, then what differs is
// changed in it. It may be given up at any point, and begun again. It is for one goroutine, and nobody else writes to the
// catalog of that log meanwhile.
type Rebuild struct {
	catalog *Catalog
	origin  ledger.Origin
	log     string
}

// Rebuild begins to make the catalog of a log again, and removes what an earlier attempt put beside it.
func (c *Catalog) Rebuild(origin ledger.Origin) (*Rebuild, error) {
	log, err := logID(origin)
	if err != nil {
		return nil, err
	}
	b := &Rebuild{c, origin, log}
	return b, b.clear()
}

// Put puts records beside the catalog, as [Catalog.PutBatch] puts them into it.
func (b *Rebuild) Put(records []Record) error {
	batch := b.catalog.db.NewWriteBatch()
	defer batch.Cancel()
	for _, record := range records {
		err := batch.Set(key(newCatalogTable, b.log, record.SourcePath), appendRecord(nil, record))
		if err == nil {
			err = batch.Set(key(newNameTable, b.log, record.Folded), appendName(nil, record.Manifest))
		}
		if err != nil {
			return b.failed(err)
		}
	}
	return b.failed(batch.Flush())
}

// Finish makes the catalog equal to what was put. Of the other records those stay, with their names, for which keep is true.
func (b *Rebuild) Finish(keep func(Record) bool) error {
	names := map[string]bool{} // of records that stay
	err := b.equalize(catalogTable, newCatalogTable, func(sourcePath string, value []byte) (bool, error) {
		record, err := parseRecord(sourcePath, value)
		if err != nil || !keep(record) {
			return false, err
		}
		names[record.Folded] = true
		return true, nil
	})
	if err == nil {
		err = b.equalize(nameTable, newNameTable, func(folded string, _ []byte) (bool, error) { return names[folded], nil })
	}
	if err != nil {
		return b.failed(err)
	}
	return b.clear()
}

// equalize walks through a table and the one beside it, both in the order of their keys.
func (b *Rebuild) equalize(table, beside byte, keep func(name string, value []byte) (bool, error)) error {
	batch := b.catalog.db.NewWriteBatch()
	defer batch.Cancel()
	err := b.catalog.db.View(func(txn *badger.Txn) error {
		is, should := b.iterate(txn, table), b.iterate(txn, beside)
		defer is.Close()
		defer should.Close()
		prefix := len(key(table, b.log, ""))
		for is.Valid() || should.Valid() {
			order := compareItems(is, should, prefix)
			if order < 0 {
				value, err := is.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				stays, err := keep(string(is.Item().Key()[prefix:]), value)
				if err == nil && !stays {
					err = batch.Delete(is.Item().KeyCopy(nil))
				}
				if err != nil {
					return err
				}
				is.Next()
				continue
			}
			value, err := should.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			if order == 0 {
				same := false
				if err := is.Item().Value(func(kept []byte) error { same = bytes.Equal(kept, value); return nil }); err != nil {
					return err
				}
				is.Next()
				if same {
					should.Next()
					continue
				}
			}
			if err := batch.Set(key(table, b.log, string(should.Item().Key()[prefix:])), value); err != nil {
				return err
			}
			should.Next()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return batch.Flush()
}

// compareItems compares the keys of two iterators behind the prefix; one that has ended comes last.
func compareItems(is, should *badger.Iterator, prefix int) int {
	switch {
	case !should.Valid():
		return -1
	case !is.Valid():
		return 1
	}
	return bytes.Compare(is.Item().Key()[prefix:], should.Item().Key()[prefix:])
}

func (b *Rebuild) iterate(txn *badger.Txn, table byte) *badger.Iterator {
	options := badger.DefaultIteratorOptions
	options.Prefix = key(table, b.log, "")
	it := txn.NewIterator(options)
	it.Rewind()
	return it
}

// clear removes what lies beside the catalog.
func (b *Rebuild) clear() error {
	batch := b.catalog.db.NewWriteBatch()
	defer batch.Cancel()
	err := b.catalog.db.View(func(txn *badger.Txn) error {
		for _, table := range []byte{newCatalogTable, newNameTable} {
			it := b.iterate(txn, table)
			for ; it.Valid(); it.Next() {
				if err := batch.Delete(it.Item().KeyCopy(nil)); err != nil {
					it.Close()
					return err
				}
			}
			it.Close()
		}
		return nil
	})
	if err == nil {
		err = batch.Flush()
	}
	return b.failed(err)
}

func (b *Rebuild) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("make the catalog of %s again: %w", b.origin, err)
}
