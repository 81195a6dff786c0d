package agentsim

import (
	"context"
	"log/slog"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/agent/internal/schedule"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/store"
)

// part is what serves one destination in a process, wired as the agent itself wires it.
type part struct {
	Destination
	session *uplink.Session
	night   *night.Night
}

// patience is how long a pass waits for the server, as in the agent.
const patience = 45 * time.Second

func newPart(db *store.DB, p *process, d Destination, beat *heart, logger *slog.Logger) (*part, error) {
	log, err := db.Ledger(d.Origin)
	if err != nil {
		return nil, err
	}
	opener := desttest.WithFaults(d.Place, func(op desttest.Op, name string) (bool, error) {
		return p.gate.Step(string(op)+" "+name, false)
	})
	place, err := dest.New(opener, d.Name, string(d.Origin))
	if err != nil {
		return nil, err
	}
	logger = logger.With(slog.String("destination", d.Name))
	q := &part{Destination: d}
	room := func() error { return nil }
	q.session = uplink.NewSession(beat.client, log, func(ctx context.Context) ([]byte, bool) { return q.night.KeptHead(ctx) }, room, logger)
	q.night = night.New(night.Config{
		Name: d.Name, Log: log, Key: d.Key, ServerKey: d.ServerKey, Client: beat.client, Session: q.session, Dest: place,
		Streams: 2, Reserve: func(dest.Space) int64 { return 0 }, Room: room, Agreed: beat.once, Patience: patience, Slog: logger,
	})
	return q, nil
}

// window is always open.
func (q *part) window() (schedule.Window, bool) {
	return schedule.Window{Start: 12 * time.Hour, End: 12 * time.Hour, Location: time.UTC}, true
}

// heart sends heartbeats for all destinations.
type heart struct {
	client  *uplink.Client
	parts   []*part
	beating chan struct{} // holds one while a heartbeat is under way; a mutex would stop a bubble's time
}

// beatEvery is how often; less often than an agent, since heartbeats are most of what happens.
const beatEvery = time.Minute

func (h *heart) run(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		_ = h.once(ctx) // the next one says the same
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *heart) once(ctx context.Context) error {
	select {
	case h.beating <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-h.beating }()
	reports := make([]uplink.Report, len(h.parts))
	for i, q := range h.parts {
		reports[i] = uplink.Report{Session: q.session, Health: uplink.HealthIdle, FreeBytes: -1, FreeInodes: -1}
	}
	_, err := h.client.Heartbeat(ctx, uplink.Self{Version: "simulation"}, reports)
	return err
}
