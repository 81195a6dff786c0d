package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/localdest"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/agent/internal/schedule"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/store"
)

// destination is one configured destination and the parts that serve it.
type destination struct {
	config  config.Destination
	log     *store.Ledger
	store   *dest.Store
	session *uplink.Session
	night   *night.Night
	limiter *rate.Limiter
	space   spaceWatch

	mu        sync.Mutex
	order     uplink.Order
	ordered   bool  // an order has come
	confirmed int64 // of passes that ended, since the process started
	fetched   int64
}

func (a *Agent) newDestination(c config.Destination) (*destination, error) {
	who, ok := a.identity.Destinations[c.Name]
	if !ok {
		return nil, fmt.Errorf("destination %q is configured, but this agent is not enrolled for it: "+
			"run `wolkvox-agent enroll` with a join string for it, or correct its name", c.Name)
	}
	log, err := a.db.Ledger(who.Origin)
	if err != nil {
		return nil, err
	}
	logger := a.options.Logger.With(slog.String("destination", c.Name))
	d := &destination{config: c, log: log, limiter: rate.NewLimiter(rate.Inf, burst)}
	if d.store, err = dest.New(localdest.New(c.Directory), c.Directory, string(who.Origin)); err != nil {
		return nil, err
	}
	d.session = uplink.NewSession(a.client, log, d.keptHead, stateRoom(a.options.Config), logger)
	d.night = night.New(night.Config{
		Name: c.Name, Log: log, Key: who.Key, ServerKey: who.ServerKey, Client: a.client, Session: d.session, Dest: d.store,
		Streams: c.Streams, Limiter: d.limiter, Reserve: d.reserve, Room: stateRoom(a.options.Config), Agreed: a.heartbeat, Patience: patience, Slog: logger,
	})
	return d, nil
}

// keptHeadPatience is how long a destination may take to show the head that it keeps.
const keptHeadPatience = 10 * time.Second

// keptHead returns the agreed head kept at the destination; nil where there is none or the destination does not answer,
// which must not keep the agent from the server.
func (d *destination) keptHead(ctx context.Context) []byte {
	ctx, cancel := context.WithTimeout(ctx, keptHeadPatience)
	defer cancel()
	head := make(chan []byte, 1)
	go func() { head <- d.night.KeptHead(ctx) }()
	select {
	case kept := <-head:
		return kept
	case <-ctx.Done():
		return nil
	}
}

// patience is how long a pass waits for the server before it is given up.
const patience = 45 * time.Second

// burst is the most that the rate limit lets through at once.
const burst = 1 << 20

// reserve is what must stay free: as configured, or 5 % of the volume and at most 20 GiB.
func (d *destination) reserve(space dest.Space) int64 {
	if d.config.Reserve != nil {
		return int64(*d.config.Reserve)
	}
	return min(space.TotalBytes/20, 20<<30)
}

// window returns when the destination's nights run; false before the server said so.
func (d *destination) window() (schedule.Window, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.order.Window
	if !d.ordered || w.Location == nil {
		return schedule.Window{}, false
	}
	if own := d.config.Window; own != nil {
		w.Start, w.End = own.Start, own.End
	}
	return w, true
}

// take follows an order of the server's. The first run number heard is where counting begins.
func (d *destination) take(ctx context.Context, order uplink.Order) {
	limit := rate.Limit(order.BytesPerSecond)
	if own := d.config.BytesPerSecond; own != nil {
		limit = rate.Limit(*own)
	}
	if limit == 0 {
		limit = rate.Inf
	}
	d.limiter.SetLimit(limit)
	d.mu.Lock()
	run := d.ordered && order.RunNumber > d.order.RunNumber
	d.order, d.ordered = order, true
	d.mu.Unlock()
	if run {
		d.night.Wake()
	}
}

// report describes the destination for a heartbeat.
func (d *destination) report() uplink.Report {
	condition, progress := d.night.Condition(), d.night.Progress()
	r := uplink.Report{Session: d.session, Health: uplink.HealthIdle, FreeBytes: -1, FreeInodes: -1,
		ConfirmedItems: progress.ConfirmedItems, FetchedBytes: progress.FetchedBytes}
	if condition.Running {
		r.Health = uplink.HealthRunning
	}
	if condition.Problem != nil {
		r.Health, r.Message = uplink.HealthFault, condition.Problem.Error()
	}
	space, known, err := d.space.get()
	switch {
	case err != nil:
		r.Health, r.Message = uplink.HealthUnreachable, err.Error()
	case known:
		r.FreeBytes, r.FreeInodes = space.FreeBytes, space.FreeInodes
	}
	return r
}

// spaceWatch keeps what was last seen of a destination's space. A destination that hangs holds up nothing but its own
// watch.
type spaceWatch struct {
	mu    sync.Mutex
	space dest.Space
	known bool
	err   error
}

func (w *spaceWatch) get() (dest.Space, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.space, w.known, w.err
}

// watchSpace looks at the destination once a minute until ctx ends.
func (d *destination) watchSpace(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		space, err := d.look(ctx)
		unsupported := errors.Is(err, errors.ErrUnsupported)
		if unsupported {
			err = nil
		}
		d.space.mu.Lock()
		d.space.space, d.space.known, d.space.err = space, err == nil && !unsupported, err
		d.space.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *destination) look(ctx context.Context) (dest.Space, error) {
	place, err := d.store.Open(ctx)
	if err != nil {
		return dest.Space{}, err
	}
	space, err := place.Space(ctx)
	return space, errors.Join(err, place.Close())
}
