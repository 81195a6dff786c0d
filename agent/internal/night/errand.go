package night

import "context"

// errand is what somebody wants to have done while no pass runs, and where its outcome goes.
type errand struct {
	ctx    context.Context // of who asked; nobody waits any more when it has ended
	do     func(context.Context) error
	answer chan<- error
}

// between has the loop call do while no pass runs, heads were compared and this agent is assigned, and returns its error. do's
// context ends with ctx, or with the loop. No pass begins before do has returned.
func (n *Night) between(ctx context.Context, do func(context.Context) error) error {
	answer := make(chan error, 1)
	select {
	case n.errands <- errand{ctx: ctx, do: do, answer: answer}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run does the errand, until ctx or the patience of who asked ends.
func (n *Night) run(ctx context.Context, e errand) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.ctx, func() { cancel(context.Cause(e.ctx)) })()
	err := n.ready(ctx)
	if err == nil {
		err = e.do(ctx)
	}
	e.answer <- err
	return err
}

// ready waits until something may be signed.
func (n *Night) ready(ctx context.Context) error {
	if err := n.Room(); err != nil {
		return err
	}
	if err := n.Session.WaitSynced(ctx, n.Patience); err != nil {
		return err
	}
	return n.checkAssigned()
}
