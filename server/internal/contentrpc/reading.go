package contentrpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// Reading is the contents of items of one manifest for a reader on this server: what FetchContents would send, by the same
// rules. Its methods, but Close, may be called concurrently.
type Reading struct{ fetch *fetch }

// Read opens the tenant's sources for the contents of items. The caller closes the reading, once it has closed all contents.
// The error wraps source.ErrUnreachable where no source can be reached.
func (s *Service) Read(ctx context.Context, seq *sequencer.Sequencer, manifest int64, indexes ledger.Set) (*Reading, error) {
	states, err := seq.Ledger().States(manifest)
	if err != nil {
		return nil, err
	}
	opened, err := s.openSources(ctx, seq.Origin().Tenant())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	return &Reading{&fetch{
		service: s, seq: seq, manifest: manifest, indexes: indexes, wanted: states.Among(indexes, backup.Pending, backup.Expired),
		ctx: ctx, cancel: cancel, sources: opened,
	}}, nil
}

// Close releases the sources.
func (r *Reading) Close() {
	r.fetch.cancel(nil)
	r.fetch.sources.close()
}

// Lines yields the lines of the items in the order of their indexes. Where one cannot be read it stops; see [Reading.Err].
func (r *Reading) Lines() iter.Seq2[int64, ledger.Line] { return r.fetch.lines() }

// Err returns why the reading ended before its end; nil where it did not.
func (r *Reading) Err() error { return context.Cause(r.fetch.ctx) }

// Open opens the contents of one item, or says why they cannot be had now; a source that differs is then about to be checked.
// The error ends the reading.
func (r *Reading) Open(index int64, line ledger.Line) (*Contents, backupv1.Unavailability, error) {
	file := &file{index: index, line: line, ready: make(chan struct{})}
	r.fetch.open(file)
	switch {
	case file.err != nil || file.unavailable != 0:
		file.drop(r.fetch.service)
		return nil, file.unavailable, file.err
	case file.handle != nil:
		return &Contents{reading: r, file: file, rest: io.NewSectionReader(file.handle, 0, line.Item.Digest.SizeBytes)}, 0, nil
	}
	var data []byte
	if file.data != nil {
		data = *file.data
	}
	return &Contents{reading: r, file: file, rest: bytes.NewReader(data)}, 0, nil
}

// Contents are those of one item. They are used by one goroutine.
type Contents struct {
	reading *Reading
	file    *file
	rest    io.Reader
	failure error
}

// Read implements io.Reader.
func (c *Contents) Read(p []byte) (int, error) {
	n, err := c.rest.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.failure = err
	}
	return n, err
}

// Refused takes note that the contents were not those of the item, or could not be read to their end, and returns how that is
// to be called; the source of what differs is then about to be checked.
func (c *Contents) Refused() backupv1.Unavailability {
	if c.failure != nil {
		return c.reading.fetch.unreadable(c.file, c.failure)
	}
	return c.reading.fetch.unreadable(c.file, errChanged)
}

// Failed reports whether reading the source failed.
func (c *Contents) Failed() bool { return c.failure != nil }

// Close releases the contents.
func (c *Contents) Close() { c.file.drop(c.reading.fetch.service) }
