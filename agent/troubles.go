package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/wolkvox/backup/agent/internal/probe"
	"github.com/wolkvox/backup/agent/internal/state"
)

// asideShown is how long it is told that the store was set aside.
const asideShown = 24 * time.Hour

// troubles is what is wrong with the agent as a whole. It is safe for concurrent use.
type troubles struct {
	mu      sync.Mutex
	aside   *state.SetAside // the last store that was set aside; nil where none was
	asideAt time.Time
	clock   time.Duration // the offset of this machine's clock that was logged; 0 where it was right
}

// setAside takes note of a store that was set aside; nil changes nothing.
func (t *troubles) setAside(aside *state.SetAside, at time.Time) {
	if aside == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.aside, t.asideAt = aside, at
}

// store says that the store was set aside, for a day; empty where there is nothing to say.
func (t *troubles) store(at time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.aside == nil || at.Sub(t.asideAt) > asideShown {
		return ""
	}
	return t.aside.String()
}

// problems returns sentences on what is wrong with the agent as a whole.
func (a *Agent) problems() (sentences []string) {
	if offset, known := a.clock.Offset(); known && offset.Abs() >= probe.ClockTolerance {
		sentences = append(sentences, probe.ClockText(a.options.Config.Language, offset))
	}
	if err := a.notes.Problem(); err != nil {
		sentences = append(sentences, err.Error())
	}
	if text := a.troubles.store(time.Now()); text != "" { // last, because it may be long, and the server keeps the first words
		sentences = append(sentences, text)
	}
	return sentences
}

// lookAtClock logs that this machine's clock is wrong, once, and again when it is right or has jumped.
func (a *Agent) lookAtClock(ctx context.Context) {
	offset, known := a.clock.Offset()
	if !known {
		return
	}
	if offset.Abs() < probe.ClockTolerance {
		offset = 0
	}
	t := &a.troubles
	t.mu.Lock()
	changed := (t.clock == 0) != (offset == 0) || (t.clock-offset).Abs() >= probe.ClockTolerance
	if changed {
		t.clock = offset
	}
	t.mu.Unlock()
	switch {
	case !changed:
	case offset == 0:
		a.options.Logger.LogAttrs(ctx, slog.LevelInfo, "this machine's clock is right again")
	default:
		a.options.Logger.LogAttrs(ctx, slog.LevelWarn, "this machine's clock is wrong", slog.Duration("offset", offset))
	}
}
