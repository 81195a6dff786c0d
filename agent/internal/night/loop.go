package night

import (
	"context"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/schedule"
	"github.com/wolkvox/backup/internal/ledger"
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

// Loop begins passes until ctx ends: when somebody asks, and while the window is open as long as something is
// pending. Between passes it agrees on heads as the log grows and looks at what was closed. window returns false
// while none is known. After a pass that met a fault it waits, longer each time.
func (n *Night) Loop(ctx context.Context, window func() (schedule.Window, bool)) {
	faults := 0
	var quietUntil time.Time // no pass by itself before this
	for {
		changed := n.Log.Changed()
		timer := time.NewTimer(n.untilPass(time.Now(), quietUntil, window))
		var answer chan<- Outcome
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case answer = <-n.requests:
		case <-n.wake:
		case <-changed:
			timer.Stop()
			if err := n.settle(ctx); err != nil && ctx.Err() == nil {
				n.logWarn(ctx, "head not agreed", err)
			}
			continue
		case <-timer.C:
			if n.untilPass(time.Now(), quietUntil, window) > 0 {
				continue
			}
		}
		timer.Stop()
		outcome := n.Run(ctx)
		quietUntil, faults = time.Time{}, 0
		if outcome.Err != nil && ctx.Err() == nil {
			n.logWarn(ctx, "pass ended early", outcome.Err)
			quietUntil = time.Now().Add(pause(faults))
			faults++
		}
		if answer != nil {
			answer <- outcome
		}
	}
}

// pause returns how long to wait after the given number of faults in a row: up to 1, 2, 4, 8, 15 minutes.
func pause(faults int) time.Duration {
	bound := min(time.Minute<<min(faults, 4), 15*time.Minute)
	return bound/8 + rand.N(bound)
}

// untilPass returns how long to wait before looking again whether a pass is due; 0 where one is due now: the window
// is open, a little later for each agent differently, and something is pending.
func (n *Night) untilPass(now, quietUntil time.Time, window func() (schedule.Window, bool)) time.Duration {
	w, known := window()
	if !known {
		return idleCheck
	}
	span := w.Next(now)
	begin := span.Start.Add(n.spread(span))
	if begin.Before(quietUntil) {
		begin = quietUntil
	}
	if begin.After(now) {
		return min(begin.Sub(now), idleCheck)
	}
	counts, err := n.Log.Total()
	if err != nil || counts[backup.Pending] == 0 {
		return idleCheck
	}
	return 0
}

// spread returns how long after a window's opening this agent begins, so that not all begin at once: the same each
// night, up to half an hour or an eighth of the window.
func (n *Night) spread(span schedule.Span) time.Duration {
	sum := fnv.New32a()
	sum.Write([]byte(n.Log.Origin()))
	most := min(30*time.Minute, span.Stop.Sub(span.Start)/8)
	return time.Duration(float64(most) * float64(sum.Sum32()) / (1 << 32))
}

// settle agrees on the latest head between passes, once the log is caught up, and looks for expired items at the
// destination after something was closed.
func (n *Night) settle(ctx context.Context) error {
	if err := n.Session.WaitSynced(ctx, n.Patience); err != nil {
		return err
	}
	if err := n.checkAssigned(); err != nil {
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
	if err := n.agree(ctx); err != nil {
		return err
	}
	return n.Agreed(ctx)
}

func (n *Night) logWarn(ctx context.Context, message string, err error) {
	n.Slog.LogAttrs(ctx, slog.LevelWarn, message, slog.Any("error", err))
}
