// Package fetch brings the contents of a set of items from the server: several streams at a time, as many as the line and
// the place are found to take, no round trip per file, going on inside a file where a stream broke. It writes to what its caller stages and knows neither
// destinations nor the ledger; whether contents are right is the staged file's judgement.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

// ErrTransport says that the server or the line kept some items from coming; others may have come.
var ErrTransport = errors.New("the contents could not be fetched from the server")

// Item is one item of the manifest that is fetched from.
type Item struct {
	Index  int64
	Path   string
	Digest backup.Digest
	Kind   backup.MediaKind
}

// File is one file being staged. It is used by one goroutine.
type File interface {
	// Write appends; backup.ErrDigest says that there is more than the wanted size.
	Write(p []byte) (int, error)
	// Offset returns how many bytes were written.
	Offset() int64
	// Commit ends writing. It returns backup.ErrDigest, and the file is dropped, where what was written differs.
	Commit() error
	// Drop deletes a file that was not committed; afterwards it does nothing.
	Drop() error
}

// Outcome is what became of one item.
type Outcome struct {
	Item        Item
	Err         error                 // nil: staged and equal to its digest; backup.ErrDigest: received, but different
	Unavailable uplink.Unavailability // set where the server cannot serve it
}

// Fetcher fetches from one destination's manifests. Its fields are set once.
type Fetcher struct {
	Session *uplink.Session
	Streams int           // how many at a time, at most
	Pace    Pace          // how many of them now; nil for all
	Limiter *rate.Limiter // bytes per second over all streams; nil for no limit
	Bytes   func(n int)   // told of what arrives; may be called from several goroutines
	// Patience is how often in a row a stream may break without bringing anything. That the server is busy is no break.
	Patience int
}

// Fetch brings items, which ascend by index, and tells done of each that came to an end, from several goroutines.
// stage begins a file. An error that is ErrTransport leaves out some items; any other error is stage's or a
// file's own, after which nothing more is known.
func (f *Fetcher) Fetch(ctx context.Context, manifest int64, items []Item, stage func(context.Context, Item) (File, error), done func(Outcome)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := f.parts(items)
	return f.paced(len(parts), func(i int) error {
		p := &pull{Fetcher: f, manifest: manifest, remaining: parts[i], stage: stage, done: done}
		err := p.run(ctx)
		if err != nil && !errors.Is(err, ErrTransport) {
			cancel(err)
		}
		return err
	})
}

// split cuts items into at most n runs of about equal bytes.
func split(items []Item, n int) [][]Item {
	var total int64
	for _, item := range items {
		total += item.Digest.SizeBytes + PerItemBytes
	}
	var parts [][]Item
	first, part := 0, int64(0)
	for i, item := range items {
		part += item.Digest.SizeBytes + PerItemBytes
		if part >= (total+int64(n)-1)/int64(n) || i == len(items)-1 {
			parts = append(parts, items[first:i+1])
			first, part = i+1, 0
		}
	}
	return parts
}

// PerItemBytes is what opening one file costs, in bytes of transfer.
const PerItemBytes = 4 << 10

// pull brings one run of items over one stream at a time.
type pull struct {
	*Fetcher
	manifest  int64
	remaining []Item
	current   File // of remaining[0], once begun
	stage     func(context.Context, Item) (File, error)
	done      func(Outcome)
	progress  bool // since the last break
	refusals  int  // in a row, of a server that is busy
}

func (p *pull) run(ctx context.Context) error {
	defer func() {
		if p.current != nil {
			p.current.Drop()
		}
	}()
	retry := uplink.Backoff{Base: 200 * time.Millisecond, Max: 15 * time.Second}
	for len(p.remaining) > 0 {
		p.progress = false
		err := p.stream(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.Is(err, ErrTransport):
			return err
		case !retriable(err):
			return err
		}
		p.noteRefusal(err)
		if p.progress || wire.Reason(err) == wire.ReasonTryLater { // the server is well, and others are being served
			retry.Reset()
		}
		if retry.Attempts() >= p.Patience {
			return err
		}
		if err := retry.Wait(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// retriable reports whether asking again can help within this run.
func retriable(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return false
	}
	switch wire.Reason(err) {
	case wire.ReasonSourceUnreachable, wire.ReasonTooMuchFetched:
		return false
	}
	return !errors.Is(err, uplink.ErrSuperseded)
}

// stream asks for what is still missing and takes it in until all of it has come or the stream ends.
func (p *pull) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request := uplink.ContentsRequest{Manifest: p.manifest, Items: indexes(p.remaining)}
	if p.current != nil {
		request.OffsetBytes = p.current.Offset()
	}
	contents, err := p.Session.Contents(ctx, request)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTransport, err)
	}
	for len(p.remaining) > 0 {
		segments, complete, err := contents.Next()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrTransport, err)
		}
		for _, segment := range segments {
			if err := p.take(ctx, segment); err != nil {
				return err
			}
		}
		if complete && len(p.remaining) > 0 {
			return fmt.Errorf("%w: the server says complete, but item %d did not come", ErrTransport, p.remaining[0].Index)
		}
	}
	return nil
}

// take adds one segment to the file that it belongs to.
func (p *pull) take(ctx context.Context, segment uplink.Segment) error {
	if len(p.remaining) == 0 || p.remaining[0].Index != segment.Index {
		return fmt.Errorf("%w: the server sent item %d out of order", ErrTransport, segment.Index)
	}
	item := p.remaining[0]
	if segment.Unavailable != uplink.Available {
		return p.end(Outcome{Item: item, Unavailable: segment.Unavailable})
	}
	if p.current == nil {
		file, err := p.stage(ctx, item)
		if err != nil {
			return err
		}
		p.current = file
	}
	if segment.OffsetBytes != p.current.Offset() {
		return fmt.Errorf("%w: the server sent item %d from byte %d, byte %d is next", ErrTransport, item.Index, segment.OffsetBytes, p.current.Offset())
	}
	data := segment.Data
	if len(data) == 0 && !segment.Last {
		return fmt.Errorf("%w: the server sent a piece of item %d that holds nothing", ErrTransport, item.Index)
	}
	if err := p.wait(ctx, len(data)); err != nil {
		return err
	}
	if _, err := p.current.Write(data); err != nil {
		if errors.Is(err, backup.ErrDigest) {
			return p.end(Outcome{Item: item, Err: err})
		}
		return err
	}
	p.progress = p.progress || len(data) > 0
	p.Bytes(len(data))
	if !segment.Last {
		return nil
	}
	file := p.current
	p.current = nil
	if err := file.Commit(); err != nil && !errors.Is(err, backup.ErrDigest) {
		return err
	} else {
		return p.end(Outcome{Item: item, Err: err})
	}
}

// end passes on what became of the first remaining item and goes on to the next.
func (p *pull) end(outcome Outcome) error {
	if p.current != nil {
		if err := p.current.Drop(); err != nil {
			return err
		}
		p.current = nil
	}
	p.remaining = p.remaining[1:]
	p.progress = true
	p.done(outcome)
	return nil
}

// Of what is limited so much is waited for at a time, so that a limit that changes holds soon: what waits already waits for
// the limit that was.
const (
	waitTime     = 100 * time.Millisecond
	minWaitBytes = 64
)

// wait keeps to the rate limit.
func (p *pull) wait(ctx context.Context, n int) error {
	if p.Limiter == nil {
		return nil
	}
	for n > 0 {
		part := min(n, p.Limiter.Burst())
		if limit := p.Limiter.Limit(); limit != rate.Inf {
			part = min(part, max(int(float64(limit)*waitTime.Seconds()), minWaitBytes))
		}
		if err := p.Limiter.WaitN(ctx, part); err != nil {
			return err
		}
		n -= part
	}
	return nil
}

func indexes(items []Item) ledger.Set {
	ranges := make([]ledger.Range, len(items))
	for i, item := range items {
		ranges[i] = ledger.Range{First: item.Index, Last: item.Index}
	}
	return ledger.NewSet(ranges...)
}
