package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/circuit"
	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/agent/internal/notes"
	"github.com/wolkvox/backup/agent/internal/probe"
	"github.com/wolkvox/backup/agent/internal/schedule"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// destination is one configured destination and the parts that serve it.
type destination struct {
	config  config.Destination
	log     *store.Ledger
	store   *dest.Store
	session *uplink.Session
	night   *night.Night
	probe   *probe.Probe
	limiter *rate.Limiter
	faults  fault.Teller
	space   spaceWatch
	notes   *notes.Book
	logger  *slog.Logger
	head    look[keptHead] // of the session's goroutine

	mu      sync.Mutex
	order   uplink.Order
	ordered bool // an order has come
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
	d := &destination{config: c, log: log, limiter: rate.NewLimiter(rate.Inf, burst), notes: a.notes, logger: logger}
	d.faults = fault.Teller{Language: a.options.Config.Language, Place: c.Location()}
	d.setLimit(time.Time{}) // no zone is known yet, so that the time does not count
	place, err := a.place(c)
	if err != nil {
		return nil, err
	}
	breaker := circuit.New(place, d.faults, nil)
	if d.store, err = dest.New(breaker, c.Location(), string(who.Origin)); err != nil {
		return nil, err
	}
	d.store.Continue(func() string { return previousOf(log, who.ServerKey) })
	d.session = uplink.NewSession(a.client, log, d.keptHead, stateRoom(a.options.Config), logger)
	audits := filepath.Join(a.options.Config.StateDir, audit.Dir)
	d.night = night.New(night.Config{
		Name: c.Name, Log: log, Key: who.Key, ServerKey: who.ServerKey, Client: a.client, Session: d.session, Dest: d.store,
		Streams: c.Streams, Limiter: d.limiter, Reserve: d.reserve, Room: stateRoom(a.options.Config), Agreed: a.heartbeat, Faults: d.faults, Circuit: breaker, Patience: patience, Slog: logger,
		EvidenceFile: filepath.Join(a.options.Config.StateDir, "evidence-"+who.Origin.LogID()),
		Paused:       func(at time.Time) bool { return a.options.ForCommand || d.pause(at) != nil }, Measured: d.measured,
		Audits: audit.NewJournal(audits, c.Name), Rounds: audit.NewRounds(audits, c.Name), Repair: c.Audit.Repairs(), RetainDays: c.Retention.OlderThanDays, Zone: d.zone,
	})
	d.probe = a.newProbe(d, logger)
	return d, nil
}

// keptHeadPatience is how long a destination may take to show the head that it keeps.
const keptHeadPatience = 10 * time.Second

// keptHead is the agreed head kept at a destination, nil where there is none, and whether that is known.
type keptHead struct {
	note  []byte
	known bool
}

// keptHead returns the agreed head kept at the destination. That the destination does not answer must not keep the agent
// from the server.
func (d *destination) keptHead(ctx context.Context) ([]byte, bool) {
	kept, _ := d.head.at(ctx, keptHeadPatience, func() keptHead {
		note, known := d.night.KeptHead(ctx)
		return keptHead{note, known}
	})
	return kept.note, kept.known
}

// previousOf returns the origin of the log that this one continues, empty where there is none, or the log is not here yet or
// not of the server that the agent enrolled with.
func previousOf(log *store.Ledger, serverKey ledger.Verifier) (origin string) {
	log.View(func(l *ledger.Log) {
		if l.Genesis.ServerKey == serverKey && l.Genesis.Previous != nil {
			origin = string(l.Genesis.Previous.Origin)
		}
	})
	return origin
}

// errRecovering tells people why nothing new comes.
var errRecovering = errors.New("the server is recovering this destination's log: nothing is sealed or closed until it has all that was ever agreed; " +
	"nothing is lost, and there is nothing to do here but to keep the destination reachable")

// logProblem says why the log is not kept equal to the server's now, or does not go on; nil where it does.
func (d *destination) logProblem() error {
	if err := d.session.Problem(); err != nil {
		return err
	}
	if d.session.Recovering() {
		return errRecovering
	}
	return nil
}

// patience is how long a pass waits for the server before it is given up.
const patience = 45 * time.Second

// reserve is what must stay free: as configured, or 5 % of the volume and at most 20 GiB; nothing in wolkvox Storage.
func (d *destination) reserve(space dest.Space) int64 {
	if d.config.Reserve != nil {
		return int64(*d.config.Reserve)
	}
	if d.config.Wolkvox != nil { // the server keeps a reserve itself
		return 0
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
func (d *destination) take(order uplink.Order) {
	if order.Window.Location == nil { // this agent does not serve the destination, or not now
		d.mu.Lock()
		d.order.Window = order.Window
		d.mu.Unlock()
		return
	}
	d.mu.Lock()
	run := d.ordered && order.RunNumber > d.order.RunNumber
	d.order, d.ordered = order, true
	d.mu.Unlock()
	d.setLimit(d.night.Now())
	if run {
		d.night.Wake()
	}
}

// report describes the destination for a heartbeat.
func (d *destination) report() uplink.Report {
	condition, progress := d.night.Condition(), d.night.Total()
	r := uplink.Report{Session: d.session, Health: uplink.HealthIdle, FreeBytes: -1, FreeInodes: -1,
		ConfirmedItems: progress.ConfirmedItems, FetchedBytes: progress.FetchedBytes, LeftAlone: d.night.LeftAlone(), Pause: d.pause(d.night.Now())}
	if condition.Running {
		r.Health = uplink.HealthRunning
	}
	if check, ok := d.probe.Last(); ok {
		r.Check = &check
	}
	problem := d.session.Problem()
	if condition.Problem != nil && !uplink.ForPeople(problem) {
		problem = condition.Problem
	}
	if problem != nil {
		r.Health, r.Message = uplink.HealthFault, problem.Error()
	}
	if errors.Is(problem, night.ErrEnded) {
		r.Health, r.Check = uplink.HealthIdle, nil
	}
	space, known, err := d.space.get()
	switch {
	case err != nil:
		r.Health, r.Message = uplink.HealthUnreachable, d.faults.Of(err).Message
	case known:
		r.FreeBytes, r.FreeInodes = space.FreeBytes, space.FreeInodes
	}
	return r
}

// watchStored reads what is stored again within the days of the configuration, until ctx ends.
func (d *destination) watchStored(ctx context.Context) {
	if days := d.config.Audit.EveryDays; days > 0 {
		d.night.AuditLoop(ctx, days, audit.NewLimiter(d.config.Audit.Rate()))
	}
}
