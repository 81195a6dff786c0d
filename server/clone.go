package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/wolkvox/backup/server/internal/sequencer"
)

// clones raises the alarm where an agent's certificate shows that it runs twice.
type clones struct {
	sequencers *sequencer.Set
	log        *slog.Logger
}

// Cloned implements [enroll.CloneReporter]: the alarm stands for every destination that the agent serves.
func (c clones) Cloned(tenant, agent, detail string) {
	ctx := context.Background()
	c.log.LogAttrs(ctx, slog.LevelWarn, "agent seems to be cloned", slog.String("tenant", tenant), slog.String("agent", agent), slog.String("detail", detail))
	for _, s := range c.sequencers.All() {
		if name, _, ok := s.Assigned(); !ok || name != agent || s.Origin().Tenant() != tenant {
			continue
		}
		if err := s.Cloned(ctx, agent, time.Now()); err != nil {
			c.log.LogAttrs(ctx, slog.LevelError, "alarm not raised", slog.String("origin", string(s.Origin())), slog.Any("error", err))
		}
	}
}
