// Package registry is what a server knows besides its ledgers: tenants, their sources and destinations with the
// log keys, one-time tokens, agents and when they were last heard, and the catalog of what was sealed from each
// source. It is one embedded database in a directory of its own, used by one process at a time.
//
// It checks that what it keeps is well formed, and redeems tokens atomically. It decides nothing about who may call
// what, holds no entries of ledgers, and reads no clock.
package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/durable"
)

// Registry is an open registry. Its methods may be called concurrently; what they wrote is durable when they return.
type Registry struct {
	db         *badger.DB
	admissions admissions
	announcing announcing
	// Room, where set before the first change, is asked before every change, which is refused with [ErrNoRoom] and Room's
	// error where that is not nil. It is called by many at once.
	Room func() error
	// Replaced, where set before the first [Registry.Admit], is told of each certificate that a later one of the same agent
	// replaced: its key hash ([identity.KeyHash]). It is called by many at once.
	Replaced func(tenant, agent string, keyHash [sha256.Size]byte)
}

var (
	// ErrInUse says that another process holds the registry.
	ErrInUse = errors.New("another wolkvox-server uses it")
	// ErrDamaged says that the registry's files are not what was written.
	ErrDamaged = errors.New("the registry is damaged")
)

// ErrNoRoom says that the volume of the registry has less free than must stay so: nothing was changed.
var ErrNoRoom = errors.New("there is no room for the registry")

// Open opens the registry in dir and creates both where they do not exist; dir is made accessible to its owner only. The
// error wraps [ErrInUse] where another process has it open, [ErrVersion] where a newer program wrote it, and [ErrDamaged] where
// its files cannot be understood.
func Open(dir string, log *slog.Logger) (*Registry, error) {
	if err := durable.CreateDir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	if err := checkUnused(dir); err != nil {
		return nil, fmt.Errorf("open registry %s: %w", dir, err)
	}
	db, err := openDatabase(dir, log)
	if err != nil {
		return nil, fmt.Errorf("open registry %s: %w", dir, err)
	}
	r := &Registry{db: db}
	if err := r.upgrade(); err != nil {
		return nil, fmt.Errorf("open registry %s: %w", dir, errors.Join(err, db.Close()))
	}
	return r, nil
}

// openDatabase returns an error where Badger panics, as it does on some damage, and tells damage from what is none.
func openDatabase(dir string, log *slog.Logger) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	if err := checkManifest(dir); err != nil {
		return nil, err
	}
	db, err = badger.Open(options(dir, log))
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EMFILE):
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
}

// checkManifest reports a directory that has lost Badger's list of tables: Badger would begin an empty one and remove the
// tables.
func checkManifest(dir string) error {
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, badger.ManifestFilename)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// Close releases the registry. Nothing else may be called afterwards.
func (r *Registry) Close() error {
	if err := r.db.Close(); err != nil {
		return fmt.Errorf("close registry: %w", err)
	}
	return nil
}

func options(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(8 << 20).
		WithNumMemtables(2).
		WithNumLevelZeroTables(2).
		WithNumCompactors(2).
		WithBlockCacheSize(8 << 20).
		WithIndexCacheSize(8 << 20).
		WithValueLogFileSize(32 << 20).
		WithValueThreshold(64 << 10).
		WithMetricsEnabled(false).
		WithLogger(badgerLog{log})
}

// The tables. A key is the table's letter, a zero byte, and the key's parts with zero bytes between them. No part
// but the last holds one, so that records come in the order of their names.
const (
	tenantTable      = 't' // tenant
	sourceTable      = 's' // tenant, source
	destinationTable = 'd' // tenant, destination
	logKeyTable      = 'x' // tenant, destination: the first one; tenant, destination, log id, number: the later ones
	tokenTable       = 'j' // SHA-256 of the secret
	agentTable       = 'a' // tenant, agent
	heardTable       = 'h' // tenant, agent
	catalogTable     = 'c' // log id, source path
	nameTable        = 'n' // log id, folded path
	recoveryTable    = 'r' // origin
	alarmTable       = 'w' // origin, number of the kind
	versionTable     = '0' // one record: the version of the registry as a whole, decimal
	backupTable      = 'B' // one record: the last backup
	endedTable       = 'E' // tenant; or tenant, log id
	presenceTable    = 'P' // one record: when the server was last there
	outageTable      = 'O' // number
	extendedTable    = 'Z' // number of the outage, log id
	formerTable      = 'F' // origin of a log that was restarted
	newCatalogTable  = 'C' // as catalogTable, while the catalog of a log is made again
	newNameTable     = 'N' // as nameTable, while the catalog of a log is made again
	renewalTable     = 'k' // tenant, agent
	doorKeyTable     = 'K' // tenant, fingerprint

	credentialTable   = 'p' // serial number
	revokedAgentTable = 'v' // tenant, agent
	adminTable        = 'l' // number, 8 bytes, big endian
	adminHeadTable    = 'e' // the end of the admin log: one record
	actTable          = 'b' // acts that began: 8 random bytes
	takenTable        = 'q' // name of an act that was taken in
	announcedTable    = 'I' // tenant, and what stands in announced.go
)

func key(table byte, parts ...string) []byte {
	return append([]byte{table, 0}, strings.Join(parts, "\x00")...)
}

// schema is the version of the records kept as JSON.
const schema = 1

type stored[T any] struct {
	Schema int `json:"schema"`
	Record T   `json:"record"`
}

// get reads the record under k. The error wraps [ErrNotFound] with its subject where there is none.
func get[T any](txn *badger.Txn, k []byte, subject Subject, name string) (T, error) {
	var none T
	item, err := txn.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return none, &SubjectError{subject, name, ErrNotFound}
	}
	if err != nil {
		return none, fmt.Errorf("read %s %q: %w", subject, name, err)
	}
	record, err := decode[T](item)
	if err != nil {
		return none, fmt.Errorf("read %s %q: %w", subject, name, err)
	}
	return record, nil
}

func decode[T any](item *badger.Item) (T, error) {
	var s stored[T]
	err := item.Value(func(value []byte) error {
		decoder := json.NewDecoder(bytes.NewReader(value))
		decoder.DisallowUnknownFields()
		return decoder.Decode(&s)
	})
	if err == nil && s.Schema != schema {
		err = fmt.Errorf("its schema is %d, this program knows %d", s.Schema, schema)
	}
	return s.Record, err
}

func put[T any](txn *badger.Txn, k []byte, record T) error {
	value, err := json.Marshal(stored[T]{schema, record})
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	return txn.Set(k, value)
}

// create writes a record where there is none. The error wraps [ErrExists] with its subject where there is one.
func create[T any](txn *badger.Txn, k []byte, subject Subject, name string, record T) error {
	_, err := txn.Get(k)
	switch {
	case err == nil:
		return &SubjectError{subject, name, ErrExists}
	case !errors.Is(err, badger.ErrKeyNotFound):
		return fmt.Errorf("read %s %q: %w", subject, name, err)
	}
	return put(txn, k, record)
}

// list reads the records of a table, or those whose keys begin with the given parts, in the order of their keys.
func list[T any](txn *badger.Txn, table byte, parts ...string) ([]T, error) {
	prefix := key(table, append(parts, "")...)
	if len(parts) == 0 {
		prefix = key(table)
	}
	options := badger.DefaultIteratorOptions
	options.Prefix = prefix
	it := txn.NewIterator(options)
	defer it.Close()
	var records []T
	for it.Rewind(); it.Valid(); it.Next() {
		record, err := decode[T](it.Item())
		if err != nil {
			return nil, fmt.Errorf("read record %q: %w", it.Item().Key(), err)
		}
		records = append(records, record)
	}
	return records, nil
}

// update runs f in a transaction, again where another one got in between: whoever loses so has seen the other win.
func (r *Registry) update(f func(*badger.Txn) error) error {
	if err := r.haveRoom(); err != nil {
		return err
	}
	for {
		err := r.db.Update(f)
		if !errors.Is(err, badger.ErrConflict) {
			return err
		}
	}
}

func (r *Registry) haveRoom() error {
	if r.Room == nil {
		return nil
	}
	if err := r.Room(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return nil
}

// badgerLog passes on what the database has to say of errors and warnings.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(format string, args ...any) {
	l.log.Error("registry database", slog.String("message", strings.TrimSpace(fmt.Sprintf(format, args...))))
}

func (l badgerLog) Warningf(format string, args ...any) {
	l.log.Warn("registry database", slog.String("message", strings.TrimSpace(fmt.Sprintf(format, args...))))
}

func (l badgerLog) Infof(string, ...any) {}

func (l badgerLog) Debugf(string, ...any) {}
