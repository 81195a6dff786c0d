package night

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/wolkvox/backup/agent/internal/circuit"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// errMoved says that the configuration names another place than before.
var errMoved = errors.New("the configuration names another place than the one that was in use")

// ErrMassLoss says that more than 1 % of what is confirmed is not at the new place as it was, so that nothing was signed.
var ErrMassLoss = errors.New("more than 1 % of what is confirmed is not there as it was; nothing was signed")

// Moving is how far the audit of a new place has come.
type Moving struct {
	Wanted  int64 // recordings that should be there
	Audited int64 // of them, those that were looked for
	Lost    int64 // of those, missing or altered
}

// Moved is how a move ended.
type Moved struct {
	Moving
	Altered int64 // of the lost ones, those whose name something else has
	Same    bool  // it is the place that it was before, and nothing was done
}

// move is a wish to move, and where its outcome goes.
type move struct {
	ctx    context.Context // of who asked; nobody waits any more when it has ended
	accept bool
	watch  func(Moving)
	answer chan<- moveEnd
}

type moveEnd struct {
	moved Moved
	err   error
}

// Move takes the place that the configuration names as the new place of the same log, and returns when the audit of it is in
// the log and agreed. Everything that is confirmed is read there: what is equal stays confirmed, what is missing or altered is
// signed as lost, so that the next pass copies it while that is tried. Where that is more than 1 % it is [ErrMassLoss] and nothing
// is signed, unless a person accepts it, or, at a place that brought the marker along, a second audit finds the same. No pass runs
// meanwhile. Interrupted at any point it may be called again; a pass that comes first does the same audit. watch is called with how
// far it has come.
func (n *Night) Move(ctx context.Context, acceptLosses bool, watch func(Moving)) (Moved, error) {
	answer := make(chan moveEnd, 1)
	select {
	case n.moves <- &move{ctx: ctx, accept: acceptLosses, watch: watch, answer: answer}:
	case <-ctx.Done():
		return Moved{}, context.Cause(ctx)
	}
	select {
	case end := <-answer:
		return end.moved, end.err
	case <-ctx.Done():
		return Moved{}, context.Cause(ctx)
	}
}

// follow does as m wishes, until ctx or the patience of who asked ends.
func (n *Night) follow(ctx context.Context, m *move) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(m.ctx, func() { cancel(context.Cause(m.ctx)) })()
	n.Slog.LogAttrs(ctx, slog.LevelInfo, "move begins")
	n.begin()
	moved, err := n.move(circuit.Force(ctx), m)
	n.Slog.LogAttrs(ctx, slog.LevelInfo, "move ends", slog.Bool("same", moved.Same), slog.Int64("audited", moved.Audited), slog.Int64("lost", moved.Lost))
	if err == nil {
		n.Circuit.Record(nil) // what stood in the way of a place that was not in use yet does not any more
	}
	n.mu.Lock()
	n.running, n.problem, n.unsettled, n.met = false, err, nil, n.Now()
	n.mu.Unlock()
	m.answer <- moveEnd{moved, err}
	return err
}

func (n *Night) move(ctx context.Context, m *move) (Moved, error) {
	if err := n.Room(); err != nil {
		return Moved{}, err
	}
	if err := n.Session.WaitSynced(ctx, n.Patience); err != nil {
		return Moved{}, err
	}
	if err := n.checkAssigned(); err != nil {
		return Moved{}, err
	}
	fresh, err := n.mark(ctx)
	if err != nil {
		return Moved{}, n.atPlace(err)
	}
	place, err := n.openStore(ctx)
	if err != nil {
		return Moved{}, err
	}
	defer place.Close()
	if same, err := n.distrust(ctx, place, fresh); err != nil || same {
		return Moved{Same: same}, err
	}
	moved, signs, err := n.auditMoved(ctx, place, m, fresh)
	if err != nil && fresh && !signs { // it may be an empty mount point: no pass shall take it for the place
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.Patience)
		defer cancel()
		return moved, errors.Join(err, place.Unmark(ctx))
	}
	if err != nil {
		return moved, err
	}
	if err := n.agree(ctx); err != nil {
		return moved, err
	}
	return moved, n.Agreed(ctx)
}

// mark makes sure that the place has this log's marker, and reports whether it had none before this move, or one that was
// interrupted.
func (n *Night) mark(ctx context.Context) (fresh bool, err error) {
	place, err := n.Dest.Open(ctx)
	if errors.Is(err, dest.ErrNoMarker) {
		_, err = n.Dest.InitMoving(ctx)
		return true, err
	}
	if err != nil {
		return false, err
	}
	fresh, err = place.Moving(ctx)
	return fresh, errors.Join(err, place.Close())
}

// distrust makes sure that every pass audits the place before it trusts it, from now until an audit is in the log: the
// mark of the last receipt, which a copy of the old place brings along, is set aside. same says that it is the old place itself.
func (n *Night) distrust(ctx context.Context, place *dest.Place, fresh bool) (same bool, err error) {
	if err := n.resolvePrepared(ctx, place); err != nil {
		return false, err
	}
	if err := n.renewForked(); err != nil {
		return false, err
	}
	marks := n.checkMarks(ctx, place)
	if marks != nil && !errors.Is(marks, errWentBack) {
		return false, marks
	}
	where, err := place.Whereabouts(ctx)
	if err != nil {
		return false, n.atPlace(err)
	}
	if where.Name && where.Volume && marks == nil && !fresh {
		return true, nil
	}
	if !fresh {
		if err := place.Try(ctx); err != nil {
			return false, n.atPlace(err)
		}
	}
	if err := n.sweepOnce(ctx, place); err != nil {
		return false, err
	}
	return false, n.atPlace(place.SetAsideOwn(ctx, dest.LastDelivered, "moved"))
}

// checkPlace is errMoved where the place carries this log's marker and was in use under another name: it may be a copy; and
// where a move to it was not finished. One of which nothing is known is taken to be where it was.
func (n *Night) checkPlace(ctx context.Context, place *dest.Place) error {
	if moving, err := place.Moving(ctx); err != nil {
		return n.atPlace(err)
	} else if moving {
		return errMoved
	}
	where, err := place.Whereabouts(ctx)
	switch {
	case err != nil:
		return n.atPlace(err)
	case !where.Known:
		if err := place.Locate(ctx); err != nil {
			n.logWarn(ctx, "where the destination is cannot be kept there", err)
		}
	case !where.Name:
		return errMoved
	}
	return nil
}

// auditMoved compares everything that is confirmed with what the new place holds, and signs what is lost. signs reports that
// it has begun to sign.
func (n *Night) auditMoved(ctx context.Context, place *dest.Place, m *move, fresh bool) (moved Moved, signs bool, err error) {
	found, wanted, err := n.findLosses(ctx, place, func(so Moving) {
		moved.Moving = so
		m.watch(so)
	})
	if err != nil {
		return moved, false, err
	}
	moved.Moving = Moving{Wanted: wanted, Audited: wanted, Lost: lossCount(found)}
	for _, l := range found {
		moved.Altered += l.altered.Len()
	}
	if m.accept {
		n.accept(found, moved.Lost, wanted)
	}
	if !n.maySign(found, moved.Lost, wanted, fresh) {
		return moved, false, fmt.Errorf("%d of %d: %w", moved.Lost, wanted, ErrMassLoss)
	}
	if err := n.signLosses(ctx, place, found); err != nil {
		return moved, true, err
	}
	return moved, true, n.reportAltered(ctx, found)
}

// accept takes what an audit found as accepted by a person.
func (n *Night) accept(found map[int64]losses, lost, audited int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.suspicion = &suspicion{found: found, lost: lost, audited: audited, accepted: true}
}

// reportAltered says of what has the names of recordings and is something else that it is in their way; it is left as it is.
func (n *Night) reportAltered(ctx context.Context, found map[int64]losses) error {
	p := newPass(n)
	p.mu.Lock()
	for manifest, l := range found {
		if !l.altered.IsEmpty() {
			p.addFault(manifest, l.altered, n.Faults.Of(fmt.Errorf("%w: found when the destination was moved", dest.ErrConflict)))
		}
	}
	p.mu.Unlock()
	return p.report(ctx)
}
