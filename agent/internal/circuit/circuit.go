// Package circuit leaves a destination alone after a fault that hit it as a whole, so that nothing hammers a server that is
// down, fills a full disk's log, or gets an account locked with a wrong password. A [Breaker] decorates the opener of a
// destination and is told by whoever works there how that went; what follows from a fault is package fault's policy. It
// begins nothing by itself and knows neither nights nor items. What it knows ends with the process: after a restart
// everything is tried once again.
//
// There are two gates. What failed to open is not opened before the next try, by anybody. What could be opened and then
// failed, as a full disk, is not copied to before the next try ([Breaker.Left]); looking at it goes on.
package circuit

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
)

// Breaker is an opener that leaves its destination alone after faults. It is safe for concurrent use.
type Breaker struct {
	opener dest.Opener
	faults fault.Teller
	random func(n time.Duration) time.Duration

	mu      sync.Mutex
	first   *attempt // of the one who opens: a wrong password is tried once, not once by each; nil where nobody does
	run     run
	seen    error // of the last Open
	open    *open // nil while nothing stands in the way
	limited []time.Time
	probing time.Time // since when one caller tries; zero where none does
	need    dest.Space
	wanting bool // the place was seen with less than need since the circuit opened
}

// attempt is an Open that others wait for.
type attempt struct {
	since time.Time
	ended chan struct{}
}

// run is how many faults of one class there were in a row.
type run struct {
	class   string
	faults  int
	opening bool // all of them by Open
	ended   bool // one of them ended all work
}

// open is the state of a circuit that is open.
type open struct {
	fault       fault.Fault
	cause       error
	since, next time.Time
	blocks      bool // Open is refused too
}

// New returns a Breaker for the places that opener opens. faults puts into words what happened, and random returns a number in
// [0, n), rand.N where it is nil.
func New(opener dest.Opener, faults fault.Teller, random func(n time.Duration) time.Duration) *Breaker {
	if random == nil {
		random = rand.N[time.Duration]
	}
	return &Breaker{opener: opener, faults: faults, random: random}
}

type forceKey struct{}

// Force returns a context with which Open tries at once whatever happened before: a person asked for it.
func Force(ctx context.Context) context.Context { return context.WithValue(ctx, forceKey{}, true) }

func forced(ctx context.Context) bool { return ctx.Value(forceKey{}) != nil }

const (
	// alonePatience is how long one Open is waited for by the next: longer than any driver lets a server take to answer a
	// login, so that all others wait for that answer. A mounted share that is gone can hold an Open for ever in the kernel.
	alonePatience = 5 * time.Minute
	// probePatience is how long one caller may try alone.
	probePatience = 2 * time.Minute
)

// Open opens the place, or returns an [OpenError] at once while it is left alone. When the time for the next try has come one
// caller is let through, and what becomes of it decides for all.
func (b *Breaker) Open(ctx context.Context) (dest.Driver, error) {
	if !forced(ctx) {
		end, err := b.admit(ctx)
		if err != nil {
			return nil, err
		}
		defer end()
	}
	driver, err := b.opener.Open(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = time.Time{}
	b.seen = err
	switch {
	case err == nil:
		b.opened()
	case errors.Is(ctx.Err(), context.Canceled):
	default:
		b.met(err, true)
	}
	return driver, err
}

// admit waits until nobody else opens, and makes the caller the one who does until it calls end; or it returns why Open is
// refused.
func (b *Breaker) admit(ctx context.Context) (end func(), err error) {
	for {
		mine, others, err := b.tryAdmit()
		if err != nil {
			return nil, err
		}
		if mine != nil {
			return func() { b.leave(mine) }, nil
		}
		patience := time.NewTimer(time.Until(others.since.Add(alonePatience)))
		select {
		case <-others.ended:
		case <-patience.C:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		patience.Stop()
		if err != nil {
			return nil, err
		}
	}
}

// tryAdmit returns the caller's own attempt, or the one that it has to wait for.
func (b *Breaker) tryAdmit() (mine, others *attempt, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if err := b.refusal(now); err != nil {
		return nil, nil, err
	}
	if b.first != nil && now.Sub(b.first.since) < alonePatience {
		return nil, b.first, nil
	}
	b.first = &attempt{since: now, ended: make(chan struct{})}
	if b.open != nil && b.open.blocks {
		b.probing = now
	}
	return b.first, nil, nil
}

// leave ends an attempt.
func (b *Breaker) leave(mine *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == mine {
		b.first = nil
	}
	close(mine.ended)
}

// refusal is called with mu held.
func (b *Breaker) refusal(now time.Time) error {
	if b.open == nil || !b.open.blocks {
		return nil
	}
	if busy := !b.probing.IsZero() && now.Sub(b.probing) < probePatience; !busy && !now.Before(b.open.next) {
		return nil
	}
	return &OpenError{State: b.state(), Cause: b.open.cause, language: b.faults.Language}
}

// opened takes note that the place could be opened. mu is held.
func (b *Breaker) opened() {
	if b.open != nil && b.open.blocks {
		b.open = nil
	}
	if b.run.opening {
		b.run = run{}
	}
}

// Record takes note of how work at the opened place went: an error, or nil where something was stored. It reports whether the
// place is to be left alone because of it. Errors that are about one file, that the policy never leaves a place alone
// for, or that are the end of a context, change nothing.
func (b *Breaker) Record(err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		if b.open == nil || !b.open.blocks {
			b.run, b.open = run{}, nil // a handle that was opened before says nothing of the next one
		}
		return false
	}
	if errors.Is(err, context.Canceled) || errors.As(err, new(*OpenError)) || !fault.Whole(err) {
		return false
	}
	return b.met(err, false)
}

// RecordEnd is Record for an error that ended all work. That the place answers some questions before it happens again
// changes nothing: a share that takes no writes can be read. What Open returned has been counted.
func (b *Breaker) RecordEnd(err error) bool {
	b.mu.Lock()
	counted := b.seen != nil && errors.Is(err, b.seen)
	open := b.open != nil
	b.mu.Unlock()
	if counted {
		return open
	}
	open = b.Record(err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.run.ended = b.run.faults > 0
	return open
}

// Trip leaves the place alone because of err, however many there were before. It is for what only its caller can judge, as
// how many of all items were hit.
func (b *Breaker) Trip(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	class := b.faults.Of(err).Class
	if b.run.class != class {
		b.run = run{class: class}
	}
	b.run.faults = max(b.run.faults, fault.PolicyOf(class).OpensAfter-1)
	b.met(err, false)
}

// Answered takes note that the place answered, though nothing was stored: what comes after is not in a row with what was
// before, unless that ended all work.
func (b *Breaker) Answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil && !b.run.ended {
		b.run = run{}
	}
}

// met counts a fault and reports whether the circuit is open because of it. mu is held.
func (b *Breaker) met(err error, opening bool) bool {
	f := b.faults.Of(err)
	policy := fault.PolicyOf(f.Class)
	now := time.Now()
	if !opening && b.open != nil && b.open.blocks && now.Before(b.open.next) {
		return true
	}
	same := b.run.class == f.Class
	echo := same && b.open != nil && now.Before(b.open.next) // of what opened it, or somebody insisted
	switch {
	case !same:
		b.run = run{class: f.Class, faults: 1, opening: opening}
	case !echo:
		b.run.faults++
		b.run.opening = b.run.opening && opening
	}
	if policy.OpensAfter == 0 || b.run.faults < policy.OpensAfter {
		return false
	}
	next := now.Add(policy.Wait(b.run.faults-policy.OpensAfter+1, b.random))
	if echo {
		next = b.open.next
	}
	if policy.TriesPerHour > 0 {
		next = b.limit(now, next, policy.TriesPerHour)
	}
	since := now
	if b.open != nil {
		since = b.open.since
	}
	blocks := opening || policy.TriesPerHour > 0 || echo && b.open.blocks
	b.open = &open{fault: f, cause: err, since: since, next: next, blocks: blocks}
	if !echo {
		b.need, b.wanting = dest.Space{FreeInodes: -1}, false
	}
	return true
}

// limit keeps the tries of any hour below most. mu is held.
func (b *Breaker) limit(now, next time.Time, most int) time.Time {
	b.limited = append(b.limited, now)
	for len(b.limited) > 0 && now.Sub(b.limited[0]) >= time.Hour {
		b.limited = b.limited[1:]
	}
	if len(b.limited) < most {
		return next
	}
	if earliest := b.limited[len(b.limited)-most].Add(time.Hour); earliest.After(next) {
		return earliest
	}
	return next
}

// Need says how much must be free at a place that is full before it is tried again; -1 inodes where that is not known. It is
// called after [Breaker.Record].
func (b *Breaker) Need(space dest.Space) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.need = space
}

// Saw takes note of what is free at the place. A full place that had less than it needs and now has enough is tried at once.
func (b *Breaker) Saw(space dest.Space) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil || !fault.PolicyOf(b.open.fault.Class).WritesOnly {
		return
	}
	enough := space.FreeBytes >= b.need.FreeBytes && (space.FreeInodes < 0 || space.FreeInodes >= b.need.FreeInodes)
	if enough && b.wanting {
		b.open.next = time.Now()
	}
	b.wanting = !enough
}

// wantingLook is how long the next look at the free space of a full place is waited for.
const wantingLook = time.Minute

// Left returns how long the place is to be left alone yet; 0 where it may be worked at.
func (b *Breaker) Left() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		return 0
	}
	left := max(time.Until(b.open.next), 0)
	if b.wanting {
		return max(left, wantingLook)
	}
	return left
}

// State says what stands in the way, by this machine's clock.
type State struct {
	Fault          fault.Fault
	Since, NextTry time.Time
}

// State returns what stands in the way; false where nothing does.
func (b *Breaker) State() (State, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		return State{}, false
	}
	return b.state(), true
}

// state is called with mu held while the circuit is open.
func (b *Breaker) state() State {
	next := b.open.next
	if b.wanting {
		next = latest(next, time.Now().Add(wantingLook))
	}
	return State{Fault: b.open.fault, Since: b.open.since, NextTry: next}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
