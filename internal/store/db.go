package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// collectEvery is how often the value log is looked through for what can be given back.
const collectEvery = 5 * time.Minute

// collectRatio is how much of a file of values has to be replaced before the rest is written anew elsewhere.
const collectRatio = 0.5

// Options of [Open]. The zero value is what a program uses.
type Options struct {
	InMemory   bool         // nothing is written; dir is ignored
	Logger     *slog.Logger // nil: silent
	Compactors int          // goroutines that merge tables: 0 is two; negative is none, for tests in a synctest bubble
	Small      bool         // in memory: little memory, for little; tests open thousands
	// Room, where set, is asked before every change, which is refused with [ErrNoRoom] and Room's error where that is not
	// nil: Badger writes through memory maps, and a volume that fills up under them ends the process. It is called often
	// and by many at once.
	Room func() error
	// Fault, where set, is asked before every commit, whose place it is told by a constant name; tests use it to
	// crash there. Where apply is false the commit does not happen; err, where not nil, is then its error.
	Fault func(point string) (apply bool, err error)

	noSync bool // for tests that simulate crashes and need no disk
}

// DB is an open store. Its methods are safe for concurrent use.
type DB struct {
	badger *badger.DB
	folder *folder // nil in memory
	logger *slog.Logger
	room   func() error
	fault  func(point string) (bool, error)
	failed atomic.Pointer[error] // the commit that failed
	broken chan struct{}         // closed when one did
	harmed chan error            // has room for one, see Damaged
	cache  *stateCache

	mu      sync.Mutex // guards what follows
	ledgers map[ledger.Origin]*Ledger
	lastID  ledgerID
}

// Open opens the store in dir, which it creates (0700) where it is missing. It returns [ErrInUse], [ErrSchema] and
// [ErrDamaged] for what they say. A store that was being written when the power went is whole: it holds everything
// that was reported as done.
func Open(dir string, o Options) (_ *DB, err error) {
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	db := &DB{logger: logger, room: o.Room, fault: o.Fault, cache: newStateCache(cacheBytes), ledgers: map[ledger.Origin]*Ledger{}, harmed: make(chan error, 1), broken: make(chan struct{})}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open the store %s: %w", dir, err)
		}
	}()
	if o.InMemory {
		dir = ""
	} else if db.folder, err = openFolder(dir); err != nil {
		return nil, err
	}
	if db.badger, err = openBadger(badgerOptions(dir, o, logger)); err != nil {
		return nil, errors.Join(err, db.folder.close())
	}
	if err := db.start(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// start checks the schema, writes it in a new store or one of an older version, and finds the last identifier.
func (db *DB) start() error {
	version, err := db.schema()
	if err != nil {
		return err
	}
	switch {
	case version > schemaVersion:
		return fmt.Errorf("schema %d, this version reads up to %d: %w", version, schemaVersion, ErrSchema)
	case version == 0 && db.folder != nil && db.folder.formatted:
		return fmt.Errorf("the schema record is missing: %w", ErrDamaged)
	case version < schemaVersion: // no record of an older version has changed
		if version > 0 {
			db.logger.LogAttrs(context.Background(), slog.LevelInfo, "store upgraded", slog.Int("from", version), slog.Int("to", schemaVersion))
		}
		err := db.update("schema", func(tx *badger.Txn) error {
			return tx.Set([]byte(keySchema), strconv.AppendInt(nil, schemaVersion, 10))
		})
		if err != nil {
			return err
		}
	}
	if db.folder != nil {
		if err := db.folder.format(); err != nil {
			return err
		}
	}
	return db.view(func(tx *badger.Txn) error {
		return eachOrigin(tx, func(_ ledger.Origin, id ledgerID) { db.lastID = max(db.lastID, id) })
	})
}

// schema returns the version that the store was written with, 0 for an empty one.
func (db *DB) schema() (version int, err error) {
	err = db.view(func(tx *badger.Txn) error {
		value, err := read(tx, []byte(keySchema))
		if err != nil || value == nil {
			return err
		}
		if version, err = strconv.Atoi(string(value)); err != nil || version < 1 {
			return fmt.Errorf("the schema record is unreadable: %w", ErrDamaged)
		}
		return nil
	})
	return version, err
}

// Close closes the store. No method may be called afterwards.
func (db *DB) Close() error {
	return errors.Join(db.badger.Close(), db.folder.close())
}

// Run gives back the space of values that were replaced, until ctx ends, and then returns its cause; or until a commit failed,
// with an [ErrFailed]: the store takes no change any more then.
func (db *DB) Run(ctx context.Context) error {
	ticker := time.NewTicker(collectEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-db.broken:
			return fmt.Errorf("%w (%w)", ErrFailed, *db.failed.Load())
		case <-ticker.C:
		}
		db.collect(ctx)
	}
}

// collect gives back the space of replaced values, one file of them after the other, as far as there is any.
func (db *DB) collect(ctx context.Context) {
	for ctx.Err() == nil {
		err := db.badger.RunValueLogGC(collectRatio)
		if err == nil {
			continue
		}
		if !errors.Is(err, badger.ErrNoRewrite) && !errors.Is(err, badger.ErrGCInMemoryMode) {
			db.logger.LogAttrs(ctx, slog.LevelWarn, "space of the store not given back", slog.Any("error", err))
		}
		return
	}
}

// Damaged returns a channel that receives an [ErrDamaged] after a read met one, or [Ledger.Verify] found the store wrong, once
// for several. Part of what is stored is checked only when it is read. Whoever reads what [Ledger.Cut] removes at that
// moment meets it too: where there are cuts, look before the store is given up.
func (db *DB) Damaged() <-chan error { return db.harmed }

// harm has Damaged tell of err, where that is an [ErrDamaged].
func (db *DB) harm(err error) {
	if !errors.Is(err, ErrDamaged) {
		return
	}
	select {
	case db.harmed <- err:
	default:
	}
}

// Origins returns the origins of the ledgers that have any record, ascending.
func (db *DB) Origins() ([]ledger.Origin, error) {
	var origins []ledger.Origin
	err := db.view(func(tx *badger.Txn) error {
		return eachOrigin(tx, func(o ledger.Origin, _ ledgerID) { origins = append(origins, o) })
	})
	slices.Sort(origins)
	return origins, err
}

// Ledger returns the ledger with this origin, an empty one where the store has none; nothing is written for that. It
// is the same *Ledger each time.
func (db *DB) Ledger(o ledger.Origin) (*Ledger, error) {
	if _, err := ledger.ParseOrigin(string(o)); err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if l := db.ledgers[o]; l != nil {
		return l, nil
	}
	l := &Ledger{db: db, origin: o, staging: map[int64]bool{}, changed: make(chan struct{})}
	err := db.view(func(tx *badger.Txn) error {
		value, err := read(tx, originKey(o))
		if err != nil {
			return err
		}
		switch len(value) {
		case 0:
			l.id = db.lastID + 1
		case 4:
			l.id, l.named = ledgerID(binary.BigEndian.Uint32(value)), true
		default:
			return damaged(o, "its identifier has %d bytes", len(value))
		}
		return nil
	})
	if err == nil && l.named {
		err = l.completeCut()
	}
	if err == nil {
		err = db.view(l.load)
	}
	if err != nil {
		return nil, err
	}
	db.lastID = max(db.lastID, l.id)
	db.ledgers[o] = l
	return l, nil
}

// eachOrigin calls f for every ledger that has an identifier.
func eachOrigin(tx *badger.Txn, f func(ledger.Origin, ledgerID)) error {
	return each(tx, []byte(prefixOrigin), func(key, value []byte) error {
		o := ledger.Origin(key[len(prefixOrigin):])
		if len(value) != 4 {
			return damaged(o, "its identifier has %d bytes", len(value))
		}
		f(o, ledgerID(binary.BigEndian.Uint32(value)))
		return nil
	})
}
