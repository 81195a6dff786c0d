package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// Write adds what was agreed since the head of the log's first since entries (0 for all), and returns the size that the evidence
// reaches now: that of the agreed head. Its head comes last: what has none yet is not complete. It may be repeated, also after a
// crash at any point, with what it returned last or with less.
func (w *Writer) Write(ctx context.Context, since int64) (size int64, err error) {
	note := w.log.Agreed()
	if note == nil {
		return since, nil
	}
	head, _, err := ledger.ParseHead(note)
	if err != nil {
		return since, err
	}
	if reached, err := w.reached(ctx, head.Size); err != nil {
		return since, err
	} else if reached {
		return head.Size, nil
	}
	if since, err = w.from(ctx, since, head.Size); err != nil {
		return since, err
	}
	s, err := w.step(since, head.Size)
	if err != nil {
		return since, err
	}
	if err := w.writeLedger(ctx, s); err != nil {
		return since, err
	}
	for _, m := range s.sealed {
		if err := w.writeManifest(ctx, s, m); err != nil {
			return since, err
		}
	}
	for _, night := range s.nights {
		if err := w.writeSums(ctx, s, night, note); err != nil {
			return since, err
		}
	}
	if err := w.files.Write(ctx, headName(head.Size), note); err != nil {
		return since, fmt.Errorf("evidence %s: %w", headName(head.Size), err)
	}
	return head.Size, nil
}

// from returns since, or 0 where the evidence that is there does not reach it: it is another place, or somebody deleted it.
func (w *Writer) from(ctx context.Context, since, size int64) (int64, error) {
	if since <= 0 || since >= size {
		return 0, nil
	}
	if reached, err := w.reached(ctx, since); err != nil || reached {
		return since, err
	}
	return 0, nil
}

// reached reports whether the evidence that is there reaches the agreed head of the log's first size entries. It is an error
// where it is that of another history.
func (w *Writer) reached(ctx context.Context, size int64) (bool, error) {
	text, err := w.files.Read(ctx, headName(size))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	head, _, err := ledger.ParseHead(text)
	if err != nil {
		return false, errors.Join(&DiffersError{headName(size)}, err)
	}
	root, err := w.log.RootAt(size)
	if err != nil {
		return false, err
	}
	if head.Origin != w.log.Origin() || head.Size != size || head.Root != root {
		return false, &DiffersError{headName(size)}
	}
	return true, nil
}

// writeLedger writes the entries of the step, and takes note of the pieces that they are in.
func (w *Writer) writeLedger(ctx context.Context, s *step) error {
	entries := func(yield func([]byte, error) bool) {
		index := s.since
		for leaf, err := range w.log.Entries(s.since, s.size) {
			var record bytes.Buffer
			if err == nil {
				err = ledger.AppendExported(&record, index, leaf)
			}
			if !yield(record.Bytes(), err) || err != nil {
				return
			}
			index++
		}
	}
	return w.write(ctx, row{
		name: func(first int64, _ int) string { return ledgerName(first) },
		cut:  same,
		done: func(p piece) { s.ledger = append(s.ledger, w.listed(p)) },
	}, s.since, entries)
}

// writeManifest writes the lines of a manifest, and takes note of the pieces that they are in.
func (w *Writer) writeManifest(ctx context.Context, s *step, m ledger.Manifest) error {
	if _, ok := s.pieces[m.Number]; ok || !w.wanted(m.Night) {
		return nil
	}
	pieces := []listed{}
	err := w.write(ctx, row{
		name: func(first int64, _ int) string { return manifestName(m.Number, first) },
		cut:  sameLine,
		done: func(p piece) { pieces = append(pieces, w.listed(p)) },
	}, 0, linesOf(w.log.RawLines(m.Number, 0)))
	s.pieces[m.Number] = pieces
	return err
}

// linesOf yields the lines that are in pieces, with their LF.
func linesOf(pieces iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for lines, err := range pieces {
			if err != nil {
				yield(nil, err)
				return
			}
			for line := range bytes.Lines(lines) {
				if !yield(line, nil) {
					return
				}
			}
		}
	}
}

// sameLine cuts off a manifest line that may be erased, there or here.
func sameLine(text, line []byte) (rest []byte, ok bool) {
	if rest, ok := same(text, line); ok {
		return rest, true
	}
	there, rest, ok := bytes.Cut(text, []byte{'\n'})
	if !ok {
		return nil, false
	}
	one, err := ledger.ParseManifestLine(there)
	other, err2 := ledger.ParseManifestLine(bytes.TrimSuffix(line, []byte{'\n'}))
	return rest, err == nil && err2 == nil && one.Hash == other.Hash
}

// listed is a piece as a SHA256SUMS names it.
type listed struct {
	first, next int64
	line        []byte
}

func (w *Writer) listed(p piece) listed {
	return listed{first: p.first, next: p.next, line: sumLine(sha256.Sum256(p.text), w.ownPath(p.name))}
}

// sumLine is a line as sha256sum writes it. No path here has a character that it escapes.
func sumLine(sum [sha256.Size]byte, path string) []byte {
	return fmt.Appendf(nil, "%x  %s\n", sum, path)
}

// writeSums writes what sha256sum compares with a night's recordings: those that are confirmed, and the night's evidence.
func (w *Writer) writeSums(ctx context.Context, s *step, night *nightStates, head []byte) error {
	if w.own != "" {
		for _, m := range night.manifests {
			if err := w.writeManifest(ctx, s, m.Manifest); err != nil { // of an earlier step: it is there
				return err
			}
		}
	}
	return w.write(ctx, row{
		name: func(_ int64, piece int) string { return sumsName(night.night, s.size, piece) },
		cut:  same,
	}, 0, w.sums(s, night, head))
}

func (w *Writer) sums(s *step, night *nightStates, head []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, m := range night.manifests {
			confirmed := m.states[backup.Confirmed]
			if confirmed.IsEmpty() {
				continue
			}
			index := confirmed.Ranges()[0].First
			for line, err := range w.log.Lines(m.Number, index) {
				if err != nil {
					yield(nil, err)
					return
				}
				// A line may have been erased since that head.
				if confirmed.Contains(index) && !line.Forgotten && !yield(sumLine(line.Item.Digest.SHA256, line.Item.Path), nil) {
					return
				}
				if index++; index > confirmed.Max() {
					break
				}
			}
		}
		if w.own == "" {
			return
		}
		for line := range w.ownLines(s, night, head) {
			if !yield(line, nil) {
				return
			}
		}
	}
}

// ownLines yields the lines of a night's evidence: its manifests, the entries about them as far as they are new, and the head.
func (w *Writer) ownLines(s *step, night *nightStates, head []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, m := range night.manifests {
			for _, p := range s.pieces[m.Number] {
				if !yield(p.line) {
					return
				}
			}
		}
		at := 0
		for _, p := range s.ledger {
			for at < len(night.entries) && night.entries[at] < p.first {
				at++
			}
			if at < len(night.entries) && night.entries[at] < p.next && !yield(p.line) {
				return
			}
		}
		yield(sumLine(sha256.Sum256(head), w.ownPath(headName(s.size))))
	}
}
