package agent

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/durable"
)

// beat sends heartbeats until ctx ends.
func (a *Agent) beat(ctx context.Context) {
	tick := time.NewTicker(time.Duration(a.options.Config.Heartbeat))
	defer tick.Stop()
	for {
		if err := a.heartbeat(ctx); err != nil && ctx.Err() == nil {
			a.options.Logger.LogAttrs(ctx, slog.LevelWarn, "heartbeat not delivered", slog.Any("error", err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// heartbeat reports on all destinations, hands over agreed heads, and follows the server's orders.
func (a *Agent) heartbeat(ctx context.Context) error {
	a.beating.Lock()
	defer a.beating.Unlock()
	reports := make([]uplink.Report, len(a.destinations))
	for i, d := range a.destinations {
		reports[i] = d.report()
	}
	self := uplink.Self{Version: a.options.Version, Message: strings.Join(a.problems(), "; ")}
	if free, err := durable.FreeBytes(a.options.Config.StateDir); err == nil {
		self.StateFreeBytes = &free
	}
	orders, err := a.client.Heartbeat(ctx, self, reports)
	a.mu.Lock()
	a.problem = err
	a.mu.Unlock()
	if err != nil {
		a.noteRefusal(err)
		return err
	}
	a.noteAccepted(ctx)
	a.lookAtClock(ctx)
	for i, d := range a.destinations {
		d.take(orders[i])
	}
	return nil
}
