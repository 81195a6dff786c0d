package store

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// chunk returns the chunk of manifest n that begins with line first, nil where there is none.
func (l *Ledger) chunk(n, first int64) (lines []byte, err error) {
	err = l.db.view(func(tx *badger.Txn) error {
		lines, err = read(tx, l.id.key(tableChunks, n, first))
		return err
	})
	return lines, err
}

// chunkWith returns the chunk of manifest n that holds line i, and the index of its first line.
func (l *Ledger) chunkWith(n, i int64) (lines []byte, first int64, err error) {
	err = l.db.view(func(tx *badger.Txn) error {
		opts := badger.DefaultIteratorOptions
		opts.Reverse, opts.PrefetchValues = true, false
		opts.Prefix = l.id.key(tableChunks, n)
		it := tx.NewIterator(opts)
		defer it.Close()
		it.Seek(l.id.key(tableChunks, n, i))
		if !it.Valid() {
			return damaged(l.origin, "line %d of manifest %d is missing", i, n)
		}
		first = lastNumber(it.Item().Key())
		lines, err = valueOf(it.Item())
		return err
	})
	return lines, first, err
}

// RawLines yields the lines of sealed manifest n from line from on, as they were staged: whole lines with their LF, in
// pieces of at most [MaxChunkBytes]. It yields [ErrNotFound] where the manifest is not sealed, and ends after an error.
func (l *Ledger) RawLines(n, from int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		m, ok := l.state.Load().log.Manifest(n)
		if !ok {
			yield(nil, l.noManifest(n))
			return
		}
		l.rawLines(n, from, m.Items)(yield)
	}
}

// rawLines yields lines from up to and without end.
func (l *Ledger) rawLines(n, from, end int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for next := max(from, 0); next < end; {
			lines, first, err := l.chunkWith(n, next)
			if err == nil {
				lines, err = l.skip(n, lines, next-first)
			}
			if err != nil {
				yield(nil, fmt.Errorf("read manifest %d: %w", n, err))
				return
			}
			next += countLines(lines)
			if !yield(lines, nil) {
				return
			}
		}
	}
}

// skip returns lines without the first count of them; an error where nothing remains.
func (l *Ledger) skip(n int64, lines []byte, count int64) ([]byte, error) {
	for ; count > 0 && len(lines) > 0; count-- {
		_, lines, _ = bytes.Cut(lines, []byte{'\n'})
	}
	if len(lines) == 0 || lines[len(lines)-1] != '\n' {
		return nil, damaged(l.origin, "lines of manifest %d are missing", n)
	}
	return lines, nil
}

// Lines yields the lines of sealed manifest n from line from on. It yields [ErrNotFound] where the manifest is not
// sealed, and ends after an error.
func (l *Ledger) Lines(n, from int64) iter.Seq2[ledger.Line, error] {
	return l.parsed(n, from, l.RawLines(n, from))
}

// StagedLines yields the lines of manifest n that are staged and durable, also of one that is not complete. It ends
// after an error. Nobody may be staging it meanwhile.
func (l *Ledger) StagedLines(n int64) iter.Seq2[ledger.Line, error] {
	return l.parsed(n, 0, func(yield func([]byte, error) bool) {
		for next := int64(0); ; {
			lines, err := l.chunk(n, next)
			if lines == nil && err == nil || !yield(lines, err) || err != nil {
				return
			}
			next += countLines(lines)
		}
	})
}

// parsed yields the lines that are in pieces, the first of which is line from.
func (l *Ledger) parsed(n, from int64, pieces iter.Seq2[[]byte, error]) iter.Seq2[ledger.Line, error] {
	return func(yield func(ledger.Line, error) bool) {
		i := max(from, 0)
		for piece, err := range pieces {
			if err != nil {
				yield(ledger.Line{}, err)
				return
			}
			for text := range bytes.Lines(piece) {
				line, err := ledger.ParseManifestLine(withoutLF(text))
				if err != nil {
					yield(ledger.Line{}, damaged(l.origin, "line %d of manifest %d: %v", i, n, err))
					return
				}
				if !yield(line, nil) {
					return
				}
				i++
			}
		}
	}
}

// Line returns line i of sealed manifest n, [ErrNotFound] where there is none.
func (l *Ledger) Line(n, i int64) (ledger.Line, error) {
	m, ok := l.state.Load().log.Manifest(n)
	if !ok || i < 0 || i >= m.Items {
		return ledger.Line{}, fmt.Errorf("ledger %s: line %d of manifest %d: %w", l.origin, i, n, ErrNotFound)
	}
	for line, err := range l.Lines(n, i) {
		return line, err
	}
	return ledger.Line{}, damaged(l.origin, "line %d of manifest %d is missing", i, n)
}

func countLines(lines []byte) int64 { return int64(bytes.Count(lines, []byte{'\n'})) }

func withoutLF(line []byte) []byte { return bytes.TrimSuffix(line, []byte{'\n'}) }
