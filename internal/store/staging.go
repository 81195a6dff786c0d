package store

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

const (
	// MaxChunkBytes is the greatest size of a piece of a manifest, as it is stored and as [Ledger.RawLines] yields it.
	MaxChunkBytes = 256 << 10
	// flushChunks is how many chunks are made durable together.
	flushChunks = 4
	// dropChunks is how many chunks are removed in one transaction.
	dropChunks = 4096
)

// stagedRecord is a complete manifest that is not sealed yet.
type stagedRecord struct {
	Root      tlog.Hash `json:"root"`
	Items     int64     `json:"items"`
	Bytes     int64     `json:"bytes"`
	Forgotten int64     `json:"forgotten,omitempty"`
}

// ManifestWriter stages the lines of a manifest. It is for one goroutine, and ends with Commit or Abort.
type ManifestWriter struct {
	l       *Ledger
	n       int64
	checker *ledger.ManifestChecker
	chunk   []byte // not full yet
	first   int64  // index of the first line of chunk
	full    []chunk
	ended   bool
}

type chunk struct {
	first int64
	lines []byte
}

// StageManifest begins to stage manifest n, which must not be sealed ([ErrSealed]) nor being staged ([ErrStaging]). What
// was staged of it before is dropped.
func (l *Ledger) StageManifest(n int64) (*ManifestWriter, error) {
	if err := l.beginStaging(n); err != nil {
		return nil, err
	}
	if err := l.dropStaged(n); err != nil {
		l.endStaging(n)
		return nil, err
	}
	return &ManifestWriter{l: l, n: n, checker: ledger.NewManifestChecker()}, nil
}

// ResumeManifest is [Ledger.StageManifest] that keeps what was staged and is durable: the writer stands after it, see
// [ManifestWriter.Len]. It reads those lines again to check them.
func (l *Ledger) ResumeManifest(n int64) (*ManifestWriter, error) {
	if err := l.beginStaging(n); err != nil {
		return nil, err
	}
	w := &ManifestWriter{l: l, n: n, checker: ledger.NewManifestChecker()}
	if err := w.resume(); err != nil {
		l.endStaging(n)
		return nil, err
	}
	return w, nil
}

// beginStaging makes the caller the only one who changes what is staged of manifest n.
func (l *Ledger) beginStaging(n int64) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	switch last := int64(len(l.state.Load().log.Manifests)); {
	case n < 1:
		return fmt.Errorf("ledger %s: stage manifest %d: manifests are numbered from 1", l.origin, n)
	case n <= last:
		return fmt.Errorf("ledger %s: stage manifest %d: %w", l.origin, n, ErrSealed)
	case l.staging[n]:
		return fmt.Errorf("ledger %s: stage manifest %d: %w", l.origin, n, ErrStaging)
	}
	l.staging[n] = true
	return nil
}

func (l *Ledger) endStaging(n int64) {
	l.writer.Lock()
	defer l.writer.Unlock()
	delete(l.staging, n)
}

// resume takes over the chunks that are there, up to the first that is missing or does not fit, and forgets that the
// manifest was complete.
func (w *ManifestWriter) resume() error {
	for {
		lines, err := w.l.chunk(w.n, w.Len())
		if err != nil {
			return err
		}
		if lines == nil {
			break
		}
		for line := range bytes.Lines(lines) {
			if _, err := w.checker.Add(withoutLF(line)); err != nil {
				return damaged(w.l.origin, "what was staged of manifest %d: %v", w.n, err)
			}
		}
	}
	w.first = w.Len()
	return w.l.change("resume a manifest", func(tx *badger.Txn) error {
		return tx.Delete(w.l.id.key(tableStaged, w.n))
	})
}

// change is [Ledger.update] for those who do not hold l.writer.
func (l *Ledger) change(point string, f func(tx *badger.Txn) error) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	return l.update(point, f)
}

// Len returns the number of lines added, those of a resumed manifest included.
func (w *ManifestWriter) Len() int64 { return w.checker.Items() }

// Add adds the next line, without LF. It checks the line's form and its order; the error for a line that does not fit
// wraps a [*ledger.RefusedError], and the writer can then only be aborted. Lines are durable in pieces as they come,
// and all of them after [ManifestWriter.Commit].
func (w *ManifestWriter) Add(line []byte) error {
	if w.ended {
		return w.errEnded()
	}
	if _, err := w.checker.Add(line); err != nil {
		return fmt.Errorf("ledger %s: stage manifest %d: %w", w.l.origin, w.n, err)
	}
	if len(w.chunk)+len(line)+1 > MaxChunkBytes {
		w.cut(w.Len() - 1)
		if len(w.full) == flushChunks {
			if err := w.flush(nil); err != nil {
				return err
			}
		}
	}
	w.chunk = append(append(w.chunk, line...), '\n')
	return nil
}

// cut ends the chunk before line next.
func (w *ManifestWriter) cut(next int64) {
	if len(w.chunk) > 0 {
		w.full = append(w.full, chunk{w.first, w.chunk})
		w.chunk, w.first = make([]byte, 0, MaxChunkBytes), next
	}
}

// flush makes the full chunks durable, and the record that the manifest is complete with them.
func (w *ManifestWriter) flush(complete *stagedRecord) error {
	err := w.l.change("stage lines", func(tx *badger.Txn) error {
		for _, c := range w.full {
			if err := tx.Set(w.l.id.key(tableChunks, w.n, c.first), c.lines); err != nil {
				return err
			}
		}
		if complete == nil {
			return nil
		}
		return set(tx, w.l.id.key(tableStaged, w.n), complete)
	})
	w.full = nil
	if err != nil {
		w.end()
		return fmt.Errorf("stage manifest %d: %w", w.n, err)
	}
	return nil
}

// Commit makes the manifest complete and durable, so that its sealed can be appended. It returns the root of its tree,
// its number of items and the sum of their sizes in bytes.
func (w *ManifestWriter) Commit() (root tlog.Hash, items, sizeBytes int64, err error) {
	if w.ended {
		return tlog.Hash{}, 0, 0, w.errEnded()
	}
	w.cut(w.Len())
	c := w.checker
	if err := w.flush(&stagedRecord{c.Root(), c.Items(), c.Bytes(), c.Forgotten()}); err != nil {
		return tlog.Hash{}, 0, 0, err
	}
	w.end()
	return c.Root(), c.Items(), c.Bytes(), nil
}

// Abort ends the writer. What is durable stays and can be resumed, or dropped by [Ledger.DropStaged]. After Commit, or a
// second time, it does nothing.
func (w *ManifestWriter) Abort() { w.end() }

func (w *ManifestWriter) end() {
	if !w.ended {
		w.ended = true
		w.l.endStaging(w.n)
	}
}

func (w *ManifestWriter) errEnded() error {
	return fmt.Errorf("ledger %s: stage manifest %d: the writer has ended", w.l.origin, w.n)
}

// Staged says what is staged of a manifest that is not sealed.
type Staged struct {
	Manifest int64
	Complete bool      // it was committed; only then what follows is known
	Root     tlog.Hash // of the tree over its lines
	Items    int64
	Bytes    int64 // the sum of the sizes
}

// Staged returns the manifests of which something is staged and that are not sealed, ascending.
func (l *Ledger) Staged() ([]Staged, error) {
	byNumber := map[int64]Staged{}
	last := int64(len(l.state.Load().log.Manifests))
	err := l.db.view(func(tx *badger.Txn) error {
		if err := l.firstChunks(tx, last, func(n int64) { byNumber[n] = Staged{Manifest: n} }); err != nil {
			return err
		}
		return each(tx, l.id.key(tableStaged), func(key, value []byte) error {
			var r stagedRecord
			n := lastNumber(key)
			if err := decode(key, value, &r); err != nil {
				return err
			}
			byNumber[n] = Staged{n, true, r.Root, r.Items, r.Bytes}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", l.origin, err)
	}
	all := make([]Staged, 0, len(byNumber))
	for _, s := range byNumber {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Staged) int { return int(a.Manifest - b.Manifest) })
	return all, nil
}

// firstChunks calls f with the numbers above last of the manifests that have chunks.
func (l *Ledger) firstChunks(tx *badger.Txn, last int64, f func(n int64)) error {
	prefix := l.id.key(tableChunks)
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues, opts.Prefix = false, prefix
	it := tx.NewIterator(opts)
	defer it.Close()
	for it.Seek(l.id.key(tableChunks, last+1)); it.Valid(); it.Seek(l.id.key(tableChunks, last+1)) {
		last = lastNumber(it.Item().Key()[:len(prefix)+8])
		f(last)
	}
	return nil
}

// DropStaged drops what is staged of manifest n; nothing where nothing is. It returns [ErrSealed] and [ErrStaging] as
// [Ledger.StageManifest] does.
func (l *Ledger) DropStaged(n int64) error {
	if err := l.beginStaging(n); err != nil {
		return err
	}
	defer l.endStaging(n)
	return l.dropStaged(n)
}

// dropStaged removes the first chunk first: without it nothing is resumed, should the rest outlive a crash.
func (l *Ledger) dropStaged(n int64) error {
	for {
		keys, err := l.chunkKeys(n, dropChunks)
		if err != nil {
			return err
		}
		err = l.change("drop a manifest", func(tx *badger.Txn) error {
			for _, key := range append(keys, l.id.key(tableStaged, n)) {
				if err := tx.Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(keys) < dropChunks {
			return err
		}
	}
}

// chunkKeys returns the keys of the first chunks of manifest n.
func (l *Ledger) chunkKeys(n int64, limit int) (keys [][]byte, err error) {
	err = l.db.view(func(tx *badger.Txn) error {
		opts := badger.DefaultIteratorOptions
		opts.PrefetchValues, opts.Prefix = false, l.id.key(tableChunks, n)
		it := tx.NewIterator(opts)
		defer it.Close()
		for it.Rewind(); it.Valid() && len(keys) < limit; it.Next() {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
		return nil
	})
	return keys, err
}

// unstage checks that the staged manifest is the one sealed, and removes its record: from here on it is a sealed one.
func (l *Ledger) unstage(tx *badger.Txn, sealed ledger.Sealed) error {
	var r stagedRecord
	key := l.id.key(tableStaged, sealed.Manifest)
	complete, err := get(tx, key, &r)
	switch {
	case err != nil:
		return err
	case !complete || l.staging[sealed.Manifest]:
		return fmt.Errorf("manifest %d is not staged: %w", sealed.Manifest, ErrNoManifest)
	case r.Root != sealed.Root || r.Items != sealed.Items || r.Forgotten == 0 && r.Bytes != sealed.Bytes || r.Bytes > sealed.Bytes:
		return fmt.Errorf("manifest %d is staged with the root %x, %d items and %d bytes, but sealed with %x, %d and %d: %w",
			sealed.Manifest, r.Root[:], r.Items, r.Bytes, sealed.Root[:], sealed.Items, sealed.Bytes, ErrNoManifest)
	}
	return tx.Delete(key)
}
