package night

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/schedule"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// RunNow asks the loop for a pass and waits for its end.
func (n *Night) RunNow(ctx context.Context) (Outcome, error) {
	answer := make(chan Outcome, 1)
	select {
	case n.requests <- answer:
	case <-ctx.Done():
		return Outcome{}, context.Cause(ctx)
	}
	select {
	case outcome := <-answer:
		return outcome, nil
	case <-ctx.Done():
		return Outcome{}, context.Cause(ctx)
	}
}

// Wake asks the loop for a pass and does not wait.
func (n *Night) Wake() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// idleCheck is how often the loop looks at the clock and at what is pending while nothing else happens.
const idleCheck = 30 * time.Second

// Loop begins passes until ctx ends, when it returns nil: when somebody asks, and while the window is open as long as
// something is pending and nobody has paused it. Between passes it sends receipts that wait, agrees on heads as the log
// grows, and looks at what was closed. A pass that began by itself takes up nothing more once the window has closed, or
// after a pause. window returns false while none is known. What met a fault is left alone for a while, longer each time,
// and as long as the circuit says. An
// error is [store.ErrFailed] or [store.ErrDamaged]: nothing can be done until the store was opened again, or begun anew. The
// window is judged by the server's time; this machine's clock has no part in it.
func (n *Night) Loop(ctx context.Context, window func() (schedule.Window, bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	keeping := start(func() error { n.keepEvidence(ctx); return nil })
	defer func() { cancel(); <-keeping }()
	var passes, settling rest
	var seen int64 // the size of the log when something was last done about it
	if n.settled() {
		seen, _ = n.Log.Position()
	}
	for {
		changed := n.Log.Changed()
		size, _ := n.Log.Position()
		quiet := func() time.Duration { return max(passes.left(time.Now()), n.Circuit.Left()) }
		wait := n.untilPass(n.Now(), quiet(), window)
		if size != seen {
			wait = 0 // it has changed already
		}
		timer := time.NewTimer(wait)
		var answer chan<- Outcome
		var moving *move
		var asked *errand
		between := false // it is no time for a pass
		p := newPass(n)
		select {
		case <-ctx.Done():
		case answer = <-n.requests:
			p.forced = true
		case moving = <-n.moves:
		case e := <-n.errands:
			asked = &e
		case <-n.wake: // by wolkvox; the pause is the client's, and holds
			p.byItself = true
			between = n.paused()
		case <-changed:
			between = true
		case <-timer.C:
			between = n.untilPass(n.Now(), quiet(), window) > 0
			if between && size == seen && (settling.left(time.Now()) > 0 || n.settled()) {
				continue
			}
			p.byItself = true
			if w, known := window(); known {
				p.until = w.Next(n.Now()).Stop
			}
		}
		timer.Stop()
		seen = size
		var err error
		switch {
		case ctx.Err() != nil:
			return nil
		case moving != nil:
			err = n.follow(ctx, moving)
			passes, settling = rest{}, rest{}
			n.setRest(passes.until)
		case asked != nil:
			err = n.run(ctx, *asked)
		case between:
			err = n.settle(ctx)
			settling.after(err, time.Now())
			n.setUnsettled(err)
		default:
			outcome := n.pass(ctx, p)
			if err = outcome.Err; errors.Is(err, ErrPaused) {
				err = nil
			}
			n.rested(&passes, err)
			n.setRest(passes.until)
			if answer != nil {
				if outcome.Complete {
					n.awaitEvidence(ctx)
				}
				answer <- outcome
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrFailed), errors.Is(err, store.ErrDamaged):
			return err
		case err != nil:
			n.logWarn(ctx, "not all could be done", err)
		}
	}
}

// rest is how long something that met faults is left alone, by this process's own uptime.
type rest struct {
	faults int // in a row
	until  time.Time
}

// left returns how long is left of it.
func (r *rest) left(now time.Time) time.Duration { return max(r.until.Sub(now), 0) }

func (r *rest) after(err error, now time.Time) {
	if err == nil {
		*r = rest{}
		return
	}
	r.until = now.Add(pause(r.faults))
	r.faults++
}

// rested takes note of how something ended. Where the circuit is open, that alone says for how long.
func (n *Night) rested(r *rest, err error) {
	if left := n.Circuit.Left(); err != nil && left > 0 {
		*r = rest{until: time.Now().Add(min(left, idleCheck))}
		return
	}
	r.after(err, time.Now())
}

// pause returns how long to wait after the given number of faults in a row: up to about 1, 2, 4, 8, 15 minutes.
func pause(faults int) time.Duration {
	bound := min(time.Minute<<min(faults, 4), 15*time.Minute)
	return bound/8 + rand.N(bound)
}

// settled reports whether there is nothing to do between passes: no receipt waits, and the head is agreed.
func (n *Night) settled() bool {
	size, _ := n.Log.Position()
	agreed := n.Log.Agreed()
	if agreed == nil {
		return size == 0
	}
	head, _, err := ledger.ParseHead(agreed)
	return err == nil && head.Size == size && n.Log.OutboxLen() == 0
}

// untilPass returns how long to wait before looking again whether a pass is due; 0 where one is due now: the window
// is open, a little later for each agent differently, something is pending, and nothing has to be left alone any more.
func (n *Night) untilPass(now time.Time, quiet time.Duration, window func() (schedule.Window, bool)) time.Duration {
	w, known := window()
	if !known || n.paused() {
		return idleCheck
	}
	counts, err := n.Log.Total()
	if err != nil || counts[backup.Pending] == 0 || n.retired() {
		return idleCheck
	}
	if wait := max(n.Begins(w, now).Sub(now), quiet); wait > 0 {
		return min(wait, idleCheck)
	}
	return 0
}

// Begins returns when a pass may begin by itself in the window that is open at the given time, or else in the next one.
func (n *Night) Begins(w schedule.Window, at time.Time) time.Time {
	span := w.Next(at)
	return span.Start.Add(n.spread(span))
}

// spread returns how long after a window's opening this agent begins, so that not all begin at once: the same each
// night, up to half an hour or an eighth of the window.
func (n *Night) spread(span schedule.Span) time.Duration {
	sum := fnv.New32a()
	sum.Write([]byte(n.Log.Origin()))
	most := min(30*time.Minute, span.Stop.Sub(span.Start)/8)
	return time.Duration(float64(most) * float64(sum.Sum32()) / (1 << 32))
}

// settle sends what waits and agrees on the latest head between passes, once the log is caught up, and looks for expired
// items at the destination after something was closed.
func (n *Night) settle(ctx context.Context) error {
	if err := n.Session.WaitSynced(ctx, n.Patience); err != nil {
		return err
	}
	if err := n.checkAssigned(); errors.Is(err, ErrEnded) {
		return n.conclude(ctx)
	} else if err != nil {
		return err
	}
	todo, closed, err := n.manifests()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(todo, func(m ledger.Manifest) bool { return closed[m.Number] }) {
		p := newPass(n)
		p.onlyClosed = true
		return n.pass(ctx, p).Err
	}
	if err := n.resume(ctx); err != nil {
		return err
	}
	if err := n.deliver(ctx); err != nil {
		return err
	}
	if err := n.agree(ctx); err != nil {
		return err
	}
	return n.Agreed(ctx)
}

func (n *Night) logWarn(ctx context.Context, message string, err error) {
	n.Slog.LogAttrs(ctx, slog.LevelWarn, message, slog.Any("error", err))
}
