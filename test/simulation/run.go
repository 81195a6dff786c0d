package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"testing"
	"testing/synctest"
)

// result is what came of one schedule.
type result struct {
	violations []string
	steps      int            // that were done
	seen       map[string]int // what came about
}

// run runs a schedule in a bubble of its own. The destinations are one or two, as the schedule's first step says.
func run(t *testing.T, s schedule, onDisk bool, logger *slog.Logger) (r result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if p := recover(); p != nil {
				r.violations = append(r.violations, fmt.Sprintf("panic: %v\n%s", p, debug.Stack()))
				panic(p)
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		destinations := 1
		if len(s) > 0 && s[0].r%4 == 0 {
			destinations = 2
		}
		w, err := newWorld(ctx, t.TempDir(), onDisk, destinations, logger)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range s {
			if err := w.do(step); err != nil {
				w.violate("%v", err)
			}
			r.steps++
			if len(w.found()) > 0 {
				break
			}
		}
		if len(w.found()) == 0 {
			if err := w.settle(); err != nil {
				w.violate("%v", err)
			}
		}
		if err := w.close(); err != nil {
			w.violate("close: %v", err)
		}
		r.violations, r.seen = w.found(), w.seen
		r.seen["cut back"] += int(w.server.Kept())
	})
	return r
}
