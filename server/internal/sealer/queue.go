package sealer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

const (
	// maxChecks is how many items wait to be checked at most; the ordinary looks find the others.
	maxChecks = 100_000
	// gatherFor is how long is waited for further items after the first, to withdraw them together.
	gatherFor = 500 * time.Millisecond
	// checkAgainAfter is when items are checked again that were still being written.
	checkAgainAfter = time.Minute
)

// checks are the items whose source is to be read again.
type checks struct {
	wake chan struct{}

	mu    sync.Mutex // guards what follows
	count int
	due   map[checkKey]map[int64]bool // the indexes
	later map[checkKey]ledger.Set     // to be checked again
}

type checkKey struct {
	origin   ledger.Origin
	manifest int64
}

func newChecks() checks {
	return checks{wake: make(chan struct{}, 1), due: map[checkKey]map[int64]bool{}, later: map[checkKey]ledger.Set{}}
}

// RequestCheck has the source of items read again soon, as [Sealer.CheckSource] does. It does not block; where too many
// wait, the request is dropped: whoever finds the difference will find it again.
func (s *Sealer) RequestCheck(origin ledger.Origin, manifest int64, indexes ledger.Set) {
	if !s.checks.add(checkKey{origin, manifest}, indexes) {
		s.logger.LogAttrs(context.Background(), slog.LevelWarn, "too many items wait to be checked", slog.String("origin", string(origin)))
	}
	select {
	case s.checks.wake <- struct{}{}:
	default:
	}
}

// add reports whether all indexes wait now.
func (c *checks) add(key checkKey, indexes ledger.Set) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due[key] == nil {
		c.due[key] = map[int64]bool{}
	}
	for index := range indexes.All() {
		if c.due[key][index] {
			continue
		}
		if c.count == maxChecks {
			return false
		}
		c.due[key][index] = true
		c.count++
	}
	return true
}

// take returns the items that are due, which then do not wait any more.
func (c *checks) take() map[checkKey]ledger.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := make(map[checkKey]ledger.Set, len(c.due))
	for key, indexes := range c.due {
		ranges := make([]ledger.Range, 0, len(indexes))
		for index := range indexes {
			ranges = append(ranges, only(index))
		}
		taken[key] = ledger.NewSet(ranges...)
	}
	clear(c.due)
	c.count = 0
	return taken
}

// postpone has items checked again when the next period begins.
func (c *checks) postpone(key checkKey, indexes ledger.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.later[key] = c.later[key].Union(indexes)
}

// begin makes those due that were postponed.
func (c *checks) begin() {
	c.mu.Lock()
	later := c.later
	c.later = map[checkKey]ledger.Set{}
	c.mu.Unlock()
	for key, indexes := range later {
		c.add(key, indexes)
	}
}

// runChecks checks what was asked for until ctx ends.
func (s *Sealer) runChecks(ctx context.Context) error {
	ticker := time.NewTicker(checkAgainAfter)
	defer ticker.Stop()
	for {
		select {
		case <-s.checks.wake:
			if err := sleep(ctx, gatherFor); err != nil {
				return err
			}
		case <-ticker.C:
			s.checks.begin()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for key, indexes := range s.checks.take() {
			checked, err := s.CheckSource(ctx, key.origin, key.manifest, indexes, time.Now())
			if err != nil && !errors.Is(err, context.Cause(ctx)) && !errors.Is(err, sequencer.ErrRecovering) {
				s.logger.LogAttrs(ctx, slog.LevelError, "source not checked", slog.String("origin", string(key.origin)),
					slog.Int64("manifest", key.manifest), slog.Any("error", err))
			}
			if !checked.Unsettled.IsEmpty() {
				s.checks.postpone(key, checked.Unsettled)
			}
		}
	}
}
