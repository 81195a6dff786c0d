package store

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

// Ledger is one destination's log with everything that belongs to it. Its methods are safe for concurrent use: readers
// never wait for a writer, and writers wait for each other.
type Ledger struct {
	db     *DB
	id     ledgerID
	origin ledger.Origin

	state atomic.Pointer[snapshot] // replaced as a whole by the writer

	writer  sync.Mutex      // held by every change; guards what follows
	named   bool            // the origin has its identifier in the store
	given   map[string]bool // the processes that were given a session number since the ledger was opened
	staging map[int64]bool

	changedMu sync.Mutex
	changed   chan struct{}
}

// snapshot is what is held in memory of a ledger. It never changes once it is published.
type snapshot struct {
	log      *ledger.Log
	root     tlog.Hash
	counts   []ledger.Counts // of manifest n at n-1
	total    ledger.Counts
	waiting  []waiting
	head     []byte
	agreed   []byte
	sessions sessionRecord
}

// load reads what is held in memory.
func (l *Ledger) load(tx *badger.Txn) error {
	s, err := l.readSnapshot(tx)
	if err != nil {
		return fmt.Errorf("load the ledger %s: %w", l.origin, err)
	}
	l.state.Store(s)
	return nil
}

func (l *Ledger) readSnapshot(tx *badger.Txn) (*snapshot, error) {
	var r logRecord
	found, err := get(tx, l.id.key(tableLog), &r)
	if err != nil {
		return nil, err
	}
	s := &snapshot{log: &ledger.Log{}, root: ledger.EmptyRoot()}
	if found {
		if s, err = l.readLog(tx, r); err != nil {
			return nil, err
		}
	}
	if s.waiting, err = l.readWaiting(tx); err != nil {
		return nil, err
	}
	if s.head, err = read(tx, l.id.key(tableHead)); err != nil {
		return nil, err
	}
	if s.agreed, err = read(tx, l.id.key(tableAgreed)); err != nil {
		return nil, err
	}
	_, err = get(tx, l.id.key(tableSessions), &s.sessions)
	return s, err
}

func (l *Ledger) readLog(tx *badger.Txn, r logRecord) (*snapshot, error) {
	s := &snapshot{log: r.log(l.origin), root: r.Root}
	if root, err := (&hashReader{tx: tx, id: l.id}).root(r.Size); err != nil {
		return nil, err
	} else if root != r.Root {
		return nil, damaged(l.origin, "the tree over its %d entries has another root than recorded", r.Size)
	}
	genesis, err := l.entry(tx, 0)
	if err != nil {
		return nil, err
	}
	e, err := ledger.ParseEntry(genesis)
	if err != nil {
		return nil, damaged(l.origin, "its first entry is unreadable: %v", err)
	}
	var ok bool
	if s.log.Genesis, ok = e.Body.(ledger.Genesis); !ok {
		return nil, damaged(l.origin, "its first entry is %s", e.Body.Kind())
	}
	err = each(tx, l.id.key(tableManifest), func(key, value []byte) error {
		var m manifestRecord
		if err := decode(key, value, &m); err != nil {
			return err
		}
		if m.Manifest.Number != int64(len(s.counts))+1 || m.Counts.Sum() != m.Manifest.Items {
			return damaged(l.origin, "the record of manifest %d is missing or wrong", len(s.counts)+1)
		}
		s.log.Manifests = append(s.log.Manifests, ledger.Manifest(m.Manifest))
		s.counts = append(s.counts, m.Counts)
		s.total = s.total.Add(m.Counts)
		return nil
	})
	return s, err
}

// update commits what f sets, and the identifier of the ledger with its first record. l.writer is held.
func (l *Ledger) update(point string, f func(tx *badger.Txn) error) error {
	err := l.db.update(point, func(tx *badger.Txn) error {
		if !l.named {
			if err := tx.Set(originKey(l.origin), l.id.encode()); err != nil {
				return err
			}
		}
		return f(tx)
	})
	if err != nil {
		return fmt.Errorf("ledger %s: %w", l.origin, err)
	}
	l.named = true
	return nil
}

// publish makes a changed copy of the snapshot the current one. l.writer is held.
func (l *Ledger) publish(change func(s *snapshot)) {
	s := *l.state.Load()
	change(&s)
	l.state.Store(&s)
}

// Origin returns the ledger's origin.
func (l *Ledger) Origin() ledger.Origin { return l.origin }

// Position returns the number of entries and the root of the tree over them, [ledger.EmptyRoot] where there are none.
func (l *Ledger) Position() (size int64, root tlog.Hash) {
	s := l.state.Load()
	return s.log.Size, s.root
}

// View calls f with the structural state of the log, which f must neither change nor keep. An entry that is
// appended meanwhile does not show.
func (l *Ledger) View(f func(log *ledger.Log)) { f(l.state.Load().log) }

// Changed returns a channel that is closed at the next append, or when another session becomes the current one. To miss
// none, take the channel first and look at [Ledger.Position] then.
func (l *Ledger) Changed() <-chan struct{} {
	l.changedMu.Lock()
	defer l.changedMu.Unlock()
	return l.changed
}

func (l *Ledger) announce() {
	l.changedMu.Lock()
	defer l.changedMu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}
