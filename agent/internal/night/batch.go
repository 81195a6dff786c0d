package night

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/fetch"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
)

// batch is work on its way through the steps 3 to 7, on one handle of the destination. It goes through them in rounds:
// what has been fetched is made durable, read back, published and signed for while the rest is still being fetched, so
// that little is repeated after a crash, however slow the line is.
type batch struct {
	pass    *pass
	work    work
	place   *dest.Place
	stage   *dest.Batch
	indexes map[string]int64                 // of the items by path
	present map[backup.Method][]ledger.Range // what is at the destination and not signed for, by how it was compared

	reserved int64         // bytes counted as in flight; guarded by pass.mu
	received atomic.Int64  // bytes of files staged since the last round
	syncTook time.Duration // by the sync of the last round
	sounds   durations     // of what was staged since the last round
}

// fetch opens the destination, adopts what is already there, and stages the rest. The batch is returned with an error
// too: what was staged before it goes on, and finish or discard ends it.
func (p *pass) fetch(ctx context.Context, w work) (*batch, error) {
	n := p.night
	b := &batch{pass: p, work: w, indexes: make(map[string]int64, len(w.items)), present: make(map[backup.Method][]ledger.Range)}
	if err := n.Room(); err != nil {
		return b, err
	}
	place, err := n.openPlace(ctx)
	if err != nil {
		return b, err
	}
	b.place = place
	missing := w.items
	if w.expired || !place.Copies() || p.carried() { // a place that copies by itself says what it has
		if missing, err = b.adopt(ctx); err != nil || w.expired {
			return b, err
		}
	}
	missing, shortage := b.fit(ctx, missing)
	if len(missing) > 0 {
		// After a pause what came is taken to its end.
		if err := b.receive(ctx, missing); err != nil && !errors.Is(err, ErrPaused) {
			return b, errors.Join(err, p.report(ctx))
		}
	}
	return b, errors.Join(shortage, p.report(ctx))
}

// adopt looks for the items at the destination: equal contents are confirmed as they are, other contents under the
// name are a conflict and stay untouched. It returns what is absent.
func (b *batch) adopt(ctx context.Context) ([]fetch.Item, error) {
	names := make([]string, len(b.work.items))
	for i, item := range b.work.items {
		names[i] = item.Path
		b.indexes[item.Path] = item.Index
	}
	n := b.pass.night
	found, err := b.place.HashExpected(ctx, names)
	if err != nil {
		return nil, n.atPlace(err)
	}
	var missing []fetch.Item
	for i, f := range found {
		item := b.work.items[i]
		switch {
		case errors.Is(f.Err, fs.ErrNotExist):
			missing = append(missing, item)
		case f.Err == nil && f.Digest == item.Digest:
			b.add(item.Index, f.Method)
		case f.Err == nil:
			f.Err = fmt.Errorf("%w: %q holds %v, wanted is %v", dest.ErrConflict, item.Path, f.Digest, item.Digest)
			fallthrough
		default:
			if err := b.fail(item.Index, f.Err); err != nil {
				return nil, err
			}
			continue
		}
		n.Circuit.Answered()
	}
	return missing, nil
}

// fit leaves out what would go below the reserve, and says so.
func (b *batch) fit(ctx context.Context, items []fetch.Item) ([]fetch.Item, error) {
	space, err := b.place.Space(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return items, nil
	}
	p := b.pass
	if err != nil {
		return nil, p.night.atPlace(err)
	}
	reserve := p.night.Reserve(space)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.need = needOf(space, reserve, items)
	if b.place.Copies() { // the service says of each item whether it has room, and whose quota is used up
		return items, nil
	}
	room := space.FreeBytes - reserve - p.inFlight
	var fitting []fetch.Item
	var waiting int64
	for _, item := range items {
		if b.reserved+item.Digest.SizeBytes > room || (space.FreeInodes >= 0 && int64(len(fitting))+reservedInodes >= space.FreeInodes) {
			waiting += item.Digest.SizeBytes
			continue
		}
		b.reserved += item.Digest.SizeBytes
		fitting = append(fitting, item)
	}
	p.inFlight += b.reserved
	if len(fitting) == len(items) {
		return items, nil
	}
	return fitting, p.night.atPlace(fault.NewShortage(space, reserve, waiting, len(items)-len(fitting)))
}

// reservedInodes is what must stay free where the destination counts inodes.
const reservedInodes = 1000

// needOf is what must be free for the next round of items.
func needOf(space dest.Space, reserve int64, items []fetch.Item) dest.Space {
	var sizeBytes int64
	for _, item := range items {
		sizeBytes += item.Digest.SizeBytes
	}
	need := dest.Space{FreeBytes: reserve + min(sizeBytes, roundBytes), FreeInodes: -1}
	if space.FreeInodes >= 0 {
		need.FreeInodes = reservedInodes + 1
	}
	return need
}

// receive stages the contents of items, and takes what has come through rounds meanwhile.
func (b *batch) receive(ctx context.Context, items []fetch.Item) error {
	n := b.pass.night
	if b.pass.carried() {
		return b.carry(ctx, items)
	}
	if b.place.Copies() {
		return b.copy(ctx, items)
	}
	stage, err := b.place.Begin(ctx)
	if err != nil {
		return n.atPlace(err)
	}
	b.stage = stage
	meter := n.newMeter(time.Now())
	fetcher := fetch.Fetcher{
		Session: n.Session, Streams: n.Streams, Pace: meter, Limiter: n.Limiter, Patience: 8,
		Bytes: func(count int) {
			meter.fetched(int64(count))
			n.count(func(c *Progress) { c.FetchedBytes += int64(count) })
		},
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fetched := make(chan struct{})
	rounds := start(func() error {
		err := b.rounds(ctx, fetched, meter)
		if err != nil {
			n.slowDown(fault.Of(err))
			cancel(err) // there is no use in fetching more
		}
		return err
	})
	err = fetcher.Fetch(ctx, b.work.manifest, items,
		func(ctx context.Context, item fetch.Item) (fetch.File, error) {
			file, err := stage.Stage(ctx, item.Path, item.Digest)
			if err != nil {
				return nil, n.atPlace(err)
			}
			return b.measured(item, placeFile{file, n}), nil
		},
		func(outcome fetch.Outcome) {
			if outcome.Err != nil || outcome.Unavailable != uplink.Available {
				b.pass.received(b.work.manifest, outcome)
				return
			}
			b.received.Add(outcome.Item.Digest.SizeBytes)
			meter.ended()
		})
	close(fetched)
	if roundErr := <-rounds; roundErr != nil {
		return roundErr
	}
	if err != nil {
		n.slowDown(fault.Of(err))
		return err
	}
	meter.last(time.Now())
	return nil
}

// When a round begins: after so many bytes, or after a time that is short at first and then longer, so that a process
// that lives a second leaves something behind, and a long night has few receipts. Where rounds take long, as where each is
// some processes at a distant place, they are fewer: they take about a fifth of the time.
const (
	roundBytes = 128 << 20
	firstRound = time.Second
	lastRound  = 10 * time.Second
	slowRound  = time.Minute
)

// nextPause returns how long after a round the next one begins, by how long it was before, and what the round took.
func nextPause(pause, took time.Duration) time.Duration {
	return max(min(2*pause, lastRound), min(4*took, slowRound))
}

// rounds takes what has been staged through the steps 4 to 7, again and again, until everything was fetched.
func (b *batch) rounds(ctx context.Context, fetched <-chan struct{}, meter *meter) error {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	began, pause := time.Now(), firstRound
	for {
		select {
		case <-fetched:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look.C:
		}
		if b.pass.paused() {
			return ErrPaused
		}
		received := b.received.Load()
		if received == 0 || received < roundBytes && time.Since(began) < pause {
			continue
		}
		b.received.Add(-received)
		began = time.Now()
		if err := b.round(ctx); err != nil {
			return err
		}
		pause = nextPause(pause, time.Since(began))
		began = time.Now()
		meter.lap(began, b.syncTook)
	}
}

// finish takes the last of the batch through the steps 4 to 7 and ends it.
func (b *batch) finish(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, b.discard()) }()
	return b.round(ctx)
}

// round makes what was staged durable, reads it back, publishes it, and signs for what is then at the destination.
func (b *batch) round(ctx context.Context) error {
	n := b.pass.night
	var whole error // why the destination is to be left alone; what was published is signed for all the same
	if b.stage != nil {
		// 4. Write: one sync for all.
		began := time.Now()
		if err := b.stage.Sync(ctx); err != nil {
			return n.atPlace(err)
		}
		b.syncTook = time.Since(began)
		// 5. Verify: read the staged files back, past the caches that can be passed, and hash them.
		if err := b.stage.Verify(ctx); err != nil {
			return n.atPlace(err)
		}
		// 6. Publish: rename without replacing, sync the names.
		results, err := b.stage.Publish(ctx)
		if err != nil {
			return n.atPlace(err)
		}
		var sizeBytes int64
		for _, r := range results {
			sizeBytes += r.Digest.SizeBytes
			if r.Err != nil {
				whole = cmp.Or(whole, b.fail(b.indexes[r.Name], r.Err))
			} else {
				b.stored()
				b.add(b.indexes[r.Name], r.Method)
			}
		}
		b.release(sizeBytes)
		if err := b.keepDurations(); err != nil {
			return err
		}
	}
	if err := b.pass.report(ctx); err != nil {
		return err
	}
	// 7. Confirm: a signed receipt into the outbox, and from there to the server.
	return errors.Join(b.confirm(ctx), whole)
}

// release counts bytes as in flight no longer: they are at the destination, and in what it has free.
func (b *batch) release(sizeBytes int64) {
	p := b.pass
	p.mu.Lock()
	defer p.mu.Unlock()
	sizeBytes = min(sizeBytes, b.reserved)
	b.reserved -= sizeBytes
	p.inFlight -= sizeBytes
}

// confirm signs for everything in the batch that is at the destination.
func (b *batch) confirm(ctx context.Context) error {
	if b.place == nil {
		return nil
	}
	n := b.pass.night
	present := b.present
	b.present = make(map[backup.Method][]ledger.Range)
	if len(present) == 0 {
		return nil
	}
	// What was taken back or declined meanwhile is not signed for.
	states, err := n.Log.States(b.work.manifest)
	if err != nil {
		return err
	}
	confirmed := int64(0)
	for _, method := range slices.Sorted(maps.Keys(present)) {
		for part := range parts(states.Among(ledger.NewSet(present[method]...), b.pass.signs()...)) {
			if err := b.pass.actsOn(b.work.manifest, part); err != nil {
				return err
			}
			if err := n.signDelivered(ctx, b.place, b.work.manifest, part, method, b.pass.brought()); err != nil {
				return err
			}
			n.Circuit.Record(nil)
			confirmed += part.Len()
		}
	}
	n.count(func(c *Progress) { c.ConfirmedItems += confirmed })
	// What cannot be sent now waits in the outbox; a verdict against it ends the pass.
	if err := n.submit(ctx); err != nil && !errors.Is(err, errNotSent) {
		return err
	}
	return nil
}

// discard ends the batch, whatever its state.
func (b *batch) discard() error {
	b.release(math.MaxInt64)
	var errs []error
	if b.stage != nil {
		errs = append(errs, b.stage.Discard())
		b.stage = nil
	}
	if b.place != nil {
		errs = append(errs, b.place.Close())
		b.place = nil
	}
	return errors.Join(errs...)
}

func (b *batch) add(index int64, method backup.Method) {
	b.present[method] = append(b.present[method], ledger.Range{First: index, Last: index})
}

// parts cuts a set into pieces that a receipt can hold.
func parts(set ledger.Set) iter.Seq[ledger.Set] {
	return func(yield func(ledger.Set) bool) {
		ranges := set.Ranges()
		for len(ranges) > 0 {
			count := min(len(ranges), ledger.MaxRanges)
			if !yield(ledger.NewSet(ranges[:count]...)) {
				return
			}
			ranges = ranges[count:]
		}
	}
}
