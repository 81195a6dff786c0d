package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// errSilent is why a step was called off.
var errSilent = errors.New("it has not answered in time")

// comeBack is how long a step that was called off has to come back before it is left alone.
const comeBack = time.Second

// hung is a step of a check that has not come back, as the kernel lets a share that is gone.
type hung struct {
	since time.Time
	over  chan struct{} // closed when it has, and all that the check made was deleted
}

// try runs a step at the place, which may hang: then it is left alone, and nothing more is tried. What f sets is not to be
// looked at afterwards.
func (c *check) try(ctx context.Context, f func(ctx context.Context) error) error {
	patience := c.probe.Patience
	if c.abandoned != nil {
		return c.silent(errSilent)
	}
	limited, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	answer, back := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(back)
		answer <- f(limited)
	}()
	var err error
	select {
	case err = <-answer:
	case <-limited.Done():
		timer := time.NewTimer(comeBack)
		defer timer.Stop()
		select {
		case err = <-answer:
		case <-timer.C:
			c.abandoned = back
			err = context.Cause(limited)
		}
	}
	if err != nil && context.Cause(limited) == errSilent {
		c.mute = true
		return c.silent(fmt.Errorf("it has not answered for %v", patience))
	}
	return err
}

// silent is the error of a place that does not answer.
func (c *check) silent(cause error) error {
	return &dest.UnreachableError{Place: c.probe.Location, Cause: &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeServerSilent, Cause: cause}}
}

// leave gives back what the check holds of the place: at once, or when the step that hangs has come back. What it could not
// delete it has said, and the next check deletes it.
func (c *check) leave(place **dest.Place, canary **dest.Canary) {
	release := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), c.probe.Patience)
		defer cancel()
		var errs []error
		if *canary != nil {
			errs = append(errs, (*canary).Remove(ctx))
		}
		if *place != nil {
			errs = append(errs, (*place).Close())
		}
		return errors.Join(errs...)
	}
	released := false
	if c.abandoned == nil {
		released = true
		_ = c.try(context.Background(), func(context.Context) error { return release() })
		if c.abandoned == nil {
			return
		}
	}
	h := &hung{since: time.Now(), over: make(chan struct{})}
	c.probe.hung = h
	go func() {
		defer close(h.over)
		<-c.abandoned
		if !released {
			_ = release()
		}
	}()
}
