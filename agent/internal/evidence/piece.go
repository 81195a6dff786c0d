package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
)

// row is a text in pieces: files of whole records, each as long as it may be, or as it was when it was written.
type row struct {
	name func(first int64, piece int) string // of the piece that begins with record first, and is the nth one
	// cut takes a record off the text of a piece that is there; false where that begins with something else.
	cut func(text, record []byte) (rest []byte, ok bool)
	// done is called with each piece that is there, in order.
	done func(p piece)
}

// piece is one file of a row.
type piece struct {
	name        string
	first, next int64 // its first record, and the one after its last
	text        []byte
}

// same cuts off a record that must be there byte for byte.
func same(text, record []byte) (rest []byte, ok bool) { return bytes.CutPrefix(text, record) }

// write makes sure that all records, the first of which has the number first, are there. Pieces that are there are compared and
// left; what differs is an error, and left too.
func (w *Writer) write(ctx context.Context, r row, first int64, records iter.Seq2[[]byte, error]) error {
	next, stop := iter.Pull2(records)
	defer stop()
	var waiting []byte // a record that did not fit into the piece before
	take := func() ([]byte, error) {
		if record := waiting; record != nil {
			waiting = nil
			return record, nil
		}
		record, err, ok := next()
		if !ok {
			return nil, nil
		}
		return record, err
	}
	for n := 1; ; n++ {
		p := piece{name: r.name(first, n), first: first, next: first}
		var err error
		p.text, err = w.files.Read(ctx, p.name)
		switch {
		case err == nil:
			err = p.compare(r, take)
		case errors.Is(err, fs.ErrNotExist):
			p.text = nil
			waiting, err = p.fill(take)
			if err == nil && p.next > p.first {
				err = w.files.Write(ctx, p.name, p.text)
			}
		}
		if err != nil {
			return fmt.Errorf("evidence %s: %w", p.name, err)
		}
		if p.next == p.first {
			return nil
		}
		if r.done != nil {
			r.done(p)
		}
		first = p.next
	}
}

// fill takes as many records as go into the piece. rest is one that did not.
func (p *piece) fill(take func() ([]byte, error)) (rest []byte, err error) {
	for {
		record, err := take()
		if record == nil || err != nil {
			return nil, err
		}
		if len(p.text)+len(record) > maxPieceBytes {
			if p.next == p.first {
				return nil, fmt.Errorf("a record of %d bytes does not go into a piece of %d", len(record), maxPieceBytes)
			}
			return bytes.Clone(record), nil
		}
		p.text = append(p.text, record...)
		p.next++
	}
}

// compare takes the records that the piece must hold.
func (p *piece) compare(r row, take func() ([]byte, error)) error {
	for rest := p.text; len(rest) > 0; p.next++ {
		record, err := take()
		if err != nil {
			return err
		}
		if record == nil {
			return ErrAhead
		}
		var ok bool
		if rest, ok = r.cut(rest, record); !ok {
			return &DiffersError{p.name}
		}
	}
	if p.next == p.first {
		return &DiffersError{p.name} // it is empty
	}
	return nil
}
