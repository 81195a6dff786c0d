package night

import (
	"context"
	"errors"
	"time"

	"github.com/wolkvox/backup/agent/internal/circuit"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/fetch"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// placeError is what the destination answered, or that it did not. It reads as people are told of it.
type placeError struct {
	fault   fault.Fault
	cause   error
	tripped bool // items met it, and the destination is to be left alone because of it
}

func (e *placeError) Error() string     { return e.fault.Message }
func (e *placeError) Unwrap() error     { return e.cause }
func (e *placeError) Told() fault.Fault { return e.fault }

// atPlace says of an error that it is the destination's; nil stays nil.
func (n *Night) atPlace(err error) error {
	if err == nil || errors.As(err, new(*placeError)) {
		return err
	}
	return &placeError{fault: n.Faults.Of(err), cause: err}
}

// openStore opens the destination and says of errors that they are its own.
func (n *Night) openStore(ctx context.Context) (*dest.Place, error) {
	place, err := n.Dest.Open(ctx)
	if err != nil {
		return nil, &placeError{fault: n.Faults.Of(err), cause: err}
	}
	return place, nil
}

// placeFile is a staged file whose errors are the destination's.
type placeFile struct {
	fetch.File
	night *Night
}

func (f placeFile) Write(p []byte) (int, error) {
	count, err := f.File.Write(p)
	return count, f.night.atPlace(err)
}

func (f placeFile) Commit() error { return f.night.atPlace(f.File.Commit()) }

// hit takes note of an error of the destination that ended a pass: the circuit opens where the policy says so, and the
// fault is reported once, for the destination as a whole.
func (p *pass) hit(ctx context.Context, err error) error {
	n := p.night
	whole, ok := errors.AsType[*placeError](err)
	if !ok || ctx.Err() != nil || errors.As(err, new(*circuit.OpenError)) {
		return nil
	}
	if whole.tripped { // what was stored since changes nothing
		n.Circuit.Trip(whole.cause)
	} else {
		n.Circuit.RecordEnd(whole.cause)
	}
	p.mu.Lock()
	if fault.PolicyOf(whole.fault.Class).WritesOnly {
		n.Circuit.Need(p.need)
	}
	p.addFault(0, ledger.Set{}, whole.fault)
	p.mu.Unlock()
	return p.report(ctx)
}

// LeftAlone says why and until when the destination is left alone, by the server's clock; nil where it is not.
func (n *Night) LeftAlone() *wire.LeftAlone {
	state, open := n.Circuit.State()
	if !open {
		return nil
	}
	f, ahead := state.Fault, time.Until(n.Now())
	since := state.Since.Add(ahead)
	return &wire.LeftAlone{
		Fault: store.Fault{Class: f.Class, Party: f.Party, Code: f.Code, Message: f.Message, Last: since, Attempts: 1},
		Since: since, NextTry: state.NextTry.Add(ahead),
	}
}

// few is how many bad items say nothing about the destination.
const few = 3

// fail takes note of an item that met an error at the destination. It returns an error where that means that the destination
// as a whole is to be left alone, and the item's fault is then the destination's.
func (b *batch) fail(index int64, err error) error {
	p, n := b.pass, b.pass.night
	n.suspect(b.work.manifest, index)
	if n.Circuit.Record(err) {
		return n.trip(err)
	}
	f := n.Faults.Of(err)
	n.slowDown(f)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addFault(b.work.manifest, one(index), f)
	percent := fault.PolicyOf(f.Class).OpensAbovePercent
	if percent == 0 || !fault.Whole(err) {
		return nil
	}
	if p.bad++; p.bad < few || p.bad*100 <= percent*(p.bad+p.stored) {
		return nil
	}
	return n.trip(err)
}

func (n *Night) trip(err error) error {
	return &placeError{fault: n.Faults.Of(err), cause: err, tripped: true}
}

// stored takes note of an item that was published.
func (b *batch) stored() {
	b.pass.night.Circuit.Record(nil)
	b.pass.mu.Lock()
	defer b.pass.mu.Unlock()
	b.pass.stored++
}

// suspect remembers an item that met an error at the destination: it is taken up after all others, so that a few that cannot
// be copied never keep the rest from it.
func (n *Night) suspect(manifest, index int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.suspects[manifest] = n.suspects[manifest].Union(one(index))
}

func (n *Night) suspected(manifest int64) ledger.Set {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.suspects[manifest]
}

func one(index int64) ledger.Set { return ledger.NewSet(ledger.Range{First: index, Last: index}) }
