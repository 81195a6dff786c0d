package sourcetest

import (
	"context"
	"errors"
	"testing"
)

var errStopped = errors.New("the test stopped it")

// cancelledContext returns a context that has ended, with a cause of its own.
func cancelledContext(t *testing.T) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStopped)
	return ctx, func() { cancel(nil) }
}
