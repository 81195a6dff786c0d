package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Values of this size or more are kept apart from the tables; they hardly count in the size of a transaction, which is
// limited to 15 % of a memtable.
const valueThresholdBytes = 64 << 10

func badgerOptions(dir string, o Options, logger *slog.Logger) badger.Options {
	opts := badger.DefaultOptions(dir).
		WithLogger(badgerLogger{logger}).
		WithMetricsEnabled(false).
		WithSyncWrites(!o.noSync).
		WithDetectConflicts(false). // one writer for each ledger, and no two share a key
		WithMemTableSize(8 << 20).
		WithNumMemtables(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(6).
		WithBlockCacheSize(8 << 20).
		WithIndexCacheSize(8 << 20).
		WithValueLogFileSize(32 << 20).
		WithValueThreshold(valueThresholdBytes).
		WithVerifyValueChecksum(true).
		WithCompression(options.None). // so that checkTables sees what Badger will see
		WithChecksumVerificationMode(options.OnBlockRead)
	switch {
	case o.Compactors > 0:
		opts = opts.WithNumCompactors(max(o.Compactors, 2))
	case o.Compactors == 0:
		opts = opts.WithNumCompactors(2)
	default:
		opts = opts.WithNumCompactors(0)
	}
	if o.InMemory { // every value is in the tables, and counts
		opts = opts.WithInMemory(true).WithSyncWrites(false).WithMemTableSize(32 << 20).WithValueThreshold(1 << 20)
		if o.Small {
			opts = opts.WithMemTableSize(4 << 20).WithValueThreshold(512 << 10).WithBlockCacheSize(0).WithIndexCacheSize(0)
		}
	}
	return opts
}

// openBadger returns an error where Badger panics, as it does on some damage.
func openBadger(opts badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("%v: %w", p, ErrDamaged)
		}
	}()
	if !opts.InMemory {
		if err := checkTables(opts.Dir, opts); err != nil {
			return nil, err
		}
	}
	db, err = badger.Open(opts)
	if err == nil {
		return db, nil
	}
	if cause := checkAccess(opts.Dir); cause != nil {
		return nil, fmt.Errorf("%w: %w", err, cause)
	}
	return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
}

// view calls f with a consistent view of the store.
func (db *DB) view(f func(tx *badger.Txn) error) error {
	tx := db.badger.NewTransaction(false)
	defer tx.Discard()
	err := f(tx)
	db.harm(err)
	return err
}

// update commits what f sets, all or nothing; nothing where f fails. point names the commit to [Options.Fault].
func (db *DB) update(point string, f func(tx *badger.Txn) error) error {
	if err := db.haveRoom(); err != nil {
		return err
	}
	return db.write(point, f)
}

// write is [DB.update] whether or not there is room: to end what was begun while there was.
func (db *DB) write(point string, f func(tx *badger.Txn) error) error {
	if cause := db.failed.Load(); cause != nil {
		return fmt.Errorf("%w (%w)", ErrFailed, *cause)
	}
	tx := db.badger.NewTransaction(true)
	defer tx.Discard()
	if err := f(tx); errors.Is(err, badger.ErrTxnTooBig) {
		return fmt.Errorf("%w (%w)", ErrTooLarge, err)
	} else if err != nil {
		return err
	}
	if err := db.commit(point, tx); err != nil {
		return db.fail(fmt.Errorf("commit %s: %w", point, err))
	}
	return nil
}

// fail makes err the reason why nothing is written any more, where there is none yet, and returns it.
func (db *DB) fail(err error) error {
	if db.failed.CompareAndSwap(nil, &err) {
		close(db.broken)
	}
	return err
}

// haveRoom returns [ErrNoRoom] where a change must not be made now.
func (db *DB) haveRoom() error {
	if db.room == nil {
		return nil
	}
	if err := db.room(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return db.folder.occupy()
}

func (db *DB) commit(point string, tx *badger.Txn) error {
	if db.fault == nil {
		return tx.Commit()
	}
	apply, fault := db.fault(point)
	if !apply {
		return fault
	}
	return errors.Join(tx.Commit(), fault)
}

// read returns a copy of the value of key, nil where there is none.
func read(tx *badger.Txn, key []byte) ([]byte, error) {
	item, err := tx.Get(key)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the record %q: %w: %w", key, err, ErrDamaged)
	}
	return valueOf(item)
}

// valueOf returns a copy of the value. No record is empty, but Badger says so of a value that it cannot find where the
// table says it is.
func valueOf(item *badger.Item) ([]byte, error) {
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, fmt.Errorf("read the record %q: %w: %w", item.Key(), err, ErrDamaged)
	}
	if len(value) == 0 {
		return nil, fmt.Errorf("read the record %q: it is empty: %w", item.Key(), ErrDamaged)
	}
	return value, nil
}

// each calls f for the records whose keys begin with prefix, in order; f may keep the value and not the key.
func each(tx *badger.Txn, prefix []byte, f func(key, value []byte) error) error {
	opts := badger.DefaultIteratorOptions
	opts.Prefix = prefix
	opts.PrefetchValues = false
	it := tx.NewIterator(opts)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		value, err := valueOf(it.Item())
		if err != nil {
			return err
		}
		if err := f(it.Item().Key(), value); err != nil {
			return err
		}
	}
	return nil
}

// badgerLogger passes on what Badger says: its warnings and errors, the rest for those who debug.
type badgerLogger struct{ logger *slog.Logger }

func (l badgerLogger) log(level slog.Level, format string, args []any) {
	if !l.logger.Enabled(context.Background(), level) {
		return
	}
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	l.logger.LogAttrs(context.Background(), level, "store", slog.String("text", text))
}

func (l badgerLogger) Errorf(format string, args ...any)   { l.log(slog.LevelError, format, args) }
func (l badgerLogger) Warningf(format string, args ...any) { l.log(slog.LevelWarn, format, args) }
func (l badgerLogger) Infof(format string, args ...any)    { l.log(slog.LevelDebug, format, args) }
func (l badgerLogger) Debugf(format string, args ...any)   { l.log(slog.LevelDebug, format, args) }
