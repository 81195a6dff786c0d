package agent

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/schedule"
)

// burst is the most that the rate limit lets through at once.
const burst = 1 << 20

// limitEvery is how often the limit follows the clock: as late as that a span may begin or end.
const limitEvery = time.Second

// followClock keeps the limit as the clock wants it until ctx ends, also while a pass runs.
func (d *destination) followClock(ctx context.Context) {
	if len(d.config.Bandwidth) == 0 { // the limit changes with the server's orders only
		return
	}
	tick := time.NewTicker(limitEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.setLimit(d.night.Now())
		case <-ctx.Done():
			return
		}
	}
}

func (d *destination) setLimit(at time.Time) {
	limit := rate.Inf
	if bytesPerSecond, limited := d.limitAt(at); limited {
		limit = rate.Limit(bytesPerSecond)
	}
	if d.limiter.Limit() != limit {
		d.limiter.SetLimit(limit)
	}
}

// limitAt returns the limit that holds at the given time of the server, in bytes per second, and false where there is none:
// the configuration's for the hour, its general one, or the server's. Before the server has named the tenant's zone, the
// lowest one of the configuration holds.
func (d *destination) limitAt(at time.Time) (bytesPerSecond int64, limited bool) {
	d.mu.Lock()
	zone, server := d.order.Window.Location, d.order.BytesPerSecond
	d.mu.Unlock()
	general := server
	if own := d.config.BytesPerSecond; own != nil {
		general = int64(*own)
	}
	if zone == nil {
		for _, span := range d.config.Bandwidth {
			if general == 0 || int64(span.BytesPerSecond) < general {
				general = int64(span.BytesPerSecond)
			}
		}
	} else if limit, ok := schedule.LimitAt(limits(d.config.Bandwidth), at, zone); ok {
		return limit, true
	}
	return general, general > 0
}

func limits(bandwidth config.Bandwidth) []schedule.Limit {
	all := make([]schedule.Limit, len(bandwidth))
	for i, span := range bandwidth {
		all[i] = schedule.Limit{Start: span.From, End: span.To, BytesPerSecond: int64(span.BytesPerSecond)}
	}
	return all
}
