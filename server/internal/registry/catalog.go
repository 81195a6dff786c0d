package registry

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// Catalog knows, for each destination, which files of the sources were sealed and which names are taken. It is made
// for a million records a night: records are compact, and written many to a transaction.
//
// It is a memory of what was sealed, not the proof: the manifests are. Its methods may be called concurrently; whoever
// writes for a destination is one at a time.
type Catalog struct {
	db       *badger.DB
	haveRoom func() error
}

// Catalog returns the catalog that is kept in this registry.
func (r *Registry) Catalog() *Catalog { return &Catalog{r.db, r.haveRoom} }

// Lookup returns what was last sealed from a source path, and whether anything was.
func (c *Catalog) Lookup(origin ledger.Origin, sourcePath string) (record Record, found bool, err error) {
	log, err := logID(origin)
	if err != nil {
		return Record{}, false, err
	}
	err = c.db.View(func(txn *badger.Txn) error {
		record, found, err = lookup(txn, log, sourcePath)
		return err
	})
	return record, found, err
}

// Taken returns the number of the manifest that uses a folded path, and whether any does.
func (c *Catalog) Taken(origin ledger.Origin, folded string) (manifest int64, taken bool, err error) {
	log, err := logID(origin)
	if err != nil {
		return 0, false, err
	}
	err = c.db.View(func(txn *badger.Txn) error {
		manifest, taken, err = nameOf(txn, log, folded)
		return err
	})
	return manifest, taken, err
}

// PutBatch keeps records, each under its source path in place of an earlier one, and its folded path as taken. It
// takes as many transactions as it needs: where it fails, some may be kept, and the call is to be repeated. All are
// durable when it returns nil.
func (c *Catalog) PutBatch(origin ledger.Origin, records []Record) error {
	log, err := logID(origin)
	if err == nil {
		err = c.haveRoom()
	}
	if err != nil {
		return err
	}
	batch := c.db.NewWriteBatch()
	defer batch.Cancel()
	for _, record := range records {
		if err := batch.Set(key(catalogTable, log, record.SourcePath), appendRecord(nil, record)); err != nil {
			return fmt.Errorf("catalog %q of %s: %w", record.SourcePath, origin, err)
		}
		if err := batch.Set(key(nameTable, log, record.Folded), appendName(nil, record.Manifest)); err != nil {
			return fmt.Errorf("catalog the name %q of %s: %w", record.Folded, origin, err)
		}
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("catalog %d records of %s: %w", len(records), origin, err)
	}
	return nil
}

// DeleteUnsealed takes back what [Catalog.PutBatch] kept for a manifest that was never sealed: of the given records,
// those still kept under that manifest's number, and their names. A record that one of them replaced is not brought
// back: whoever has it puts it again. It may be repeated like PutBatch.
func (c *Catalog) DeleteUnsealed(origin ledger.Origin, manifest int64, records iter.Seq[Record]) error {
	log, err := logID(origin)
	if err == nil {
		err = c.haveRoom()
	}
	if err != nil {
		return err
	}
	batch := c.db.NewWriteBatch()
	defer batch.Cancel()
	err = c.db.View(func(txn *badger.Txn) error {
		for record := range records {
			kept, found, err := lookup(txn, log, record.SourcePath)
			if err == nil && found && kept.Manifest == manifest {
				err = batch.Delete(key(catalogTable, log, record.SourcePath))
			}
			if err != nil {
				return fmt.Errorf("delete %q from the catalog of %s: %w", record.SourcePath, origin, err)
			}
			user, taken, err := nameOf(txn, log, record.Folded)
			if err == nil && taken && user == manifest {
				err = batch.Delete(key(nameTable, log, record.Folded))
			}
			if err != nil {
				return fmt.Errorf("delete the name %q from the catalog of %s: %w", record.Folded, origin, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("delete manifest %d from the catalog of %s: %w", manifest, origin, err)
	}
	return nil
}

// UpdateIdentity notes that a file looks different although its contents are those that were sealed. The error wraps
// [ErrNotFound] where nothing was sealed from the path. Where many files changed their looks, use [Catalog.PutBatch].
func (c *Catalog) UpdateIdentity(origin ledger.Origin, sourcePath string, identity Identity) error {
	log, err := logID(origin)
	if err == nil {
		err = c.haveRoom()
	}
	if err != nil {
		return err
	}
	return c.db.Update(func(txn *badger.Txn) error {
		record, found, err := lookup(txn, log, sourcePath)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("update %q in the catalog of %s: %w", sourcePath, origin, ErrNotFound)
		}
		record.Identity = identity
		return txn.Set(key(catalogTable, log, sourcePath), appendRecord(nil, record))
	})
}

func lookup(txn *badger.Txn, log, sourcePath string) (record Record, found bool, err error) {
	item, err := txn.Get(key(catalogTable, log, sourcePath))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return Record{}, false, nil
	}
	if err == nil {
		err = item.Value(func(value []byte) error {
			record, err = parseRecord(sourcePath, value)
			return err
		})
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("look up %q in the catalog: %w", sourcePath, err)
	}
	return record, true, nil
}

func nameOf(txn *badger.Txn, log, folded string) (manifest int64, taken bool, err error) {
	item, err := txn.Get(key(nameTable, log, folded))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, false, nil
	}
	if err == nil {
		err = item.Value(func(value []byte) error {
			manifest, err = parseName(value)
			return err
		})
	}
	if err != nil {
		return 0, false, fmt.Errorf("look up the name %q in the catalog: %w", folded, err)
	}
	return manifest, true, nil
}

// logID returns the 16 bytes by which a log's records are kept, whatever its tenant and destination are called.
func logID(origin ledger.Origin) (string, error) {
	id, err := hex.DecodeString(origin.LogID())
	if err != nil || len(id) != 16 {
		return "", fmt.Errorf("catalog: %q is no origin of a log", origin)
	}
	return string(id), nil
}
