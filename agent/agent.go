// Package agent builds the agent from its parts and runs them: one store, one connection to the server, and for each
// destination a session that keeps its log and a night that copies its recordings. What the parts do is theirs.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wolkvox/backup/agent/internal/acts"
	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/control"
	"github.com/wolkvox/backup/agent/internal/enroll"
	"github.com/wolkvox/backup/agent/internal/notes"
	"github.com/wolkvox/backup/agent/internal/state"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ballast"
	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/store"
)

// Options is what an agent is built from.
type Options struct {
	Config    config.Config
	Version   string
	BuildDate time.Time // certificates are never judged with an earlier time
	// ForCommand says that the agent is there for one command of a person's: nothing begins by itself.
	ForCommand bool
	Logger     *slog.Logger
}

// Agent is a built agent. It holds the store until Close.
type Agent struct {
	options      Options
	clock        *uplink.ServerClock
	fault        func(point string) (bool, error) // of the store, for tests
	db           *store.DB
	link         *link
	client       *uplink.Client
	destinations []*destination
	troubles     troubles
	answer       serverAnswer
	notes        *notes.Book
	look         chan bool // holds at most one wish to look at the certificate; true where the server refused it

	beating sync.Mutex // one heartbeat at a time
	mu      sync.Mutex
	problem error // why the last heartbeat failed
	renewal error // why the certificate was not renewed
	// identity is replaced when the certificate is renewed. accepted says that the server took its certificate.
	identity *enroll.Identity
	accepted bool
}

// Open loads who the agent is, opens its store and builds its parts. It calls nobody. A store that is damaged is set aside,
// and a fresh one begun. The errors are sentences for a person; one wraps enroll.ErrNotEnrolled, store.ErrInUse or
// store.ErrNoRoom where that is the cause: the last one ends by itself when there is room.
func Open(o Options) (*Agent, error) { return open(o, nil) }

func open(o Options, fault func(point string) (bool, error)) (*Agent, error) {
	if err := checkOwner(o.Config.StateDir); err != nil {
		return nil, err
	}
	id, err := enroll.Load(o.Config.StateDir)
	if err != nil {
		return nil, err
	}
	a := &Agent{options: o, identity: id, clock: &uplink.ServerClock{}, fault: fault, look: make(chan bool, 1),
		notes: notes.Open(o.Config.StateDir)}
	if err := a.open(context.Background()); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Agent) build() error {
	conn, err := a.dial(a.who())
	if err != nil {
		return err
	}
	a.link = &link{conn: conn}
	a.client = uplink.NewClient(a.link, a.clock)
	for _, c := range a.options.Config.Destinations {
		d, err := a.newDestination(c)
		if err != nil {
			return err
		}
		a.destinations = append(a.destinations, d)
	}
	return nil
}

// judged returns the time at which certificates are judged: the server's, carried on by the time elapsed since it was heard.
func (a *Agent) judged() time.Time {
	server, _ := a.clock.Now()
	return identity.JudgedTime(server, a.options.BuildDate, 0)
}

// Close releases the store and the connection. Run must have returned.
func (a *Agent) Close() error {
	var errs []error
	if a.link != nil {
		errs = append(errs, a.link.close())
	}
	if a.db != nil {
		errs = append(errs, a.db.Close())
	}
	a.link, a.db, a.destinations = nil, nil, nil
	return errors.Join(errs...)
}

// run keeps all parts going until ctx ends, returning nil, or one of them fails.
func (a *Agent) run(ctx context.Context, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.db.Run(ctx) })
	group.Go(func() error { return a.watchDamage(ctx) })
	group.Go(func() error { return a.serve(ctx, listener, true) })
	group.Go(func() error { a.beat(ctx); return nil })
	group.Go(func() error {
		ballast.Keep(ctx, a.options.Config.StateDir, int64(*a.options.Config.StateReserve), a.options.Logger)
		return nil
	})
	group.Go(func() error { a.keepCertificate(ctx); return nil })
	for _, d := range a.destinations {
		group.Go(func() error { return d.session.Run(ctx) })
		group.Go(func() error { return d.night.Loop(ctx, d.window) })
		group.Go(func() error { d.watchSpace(ctx); return nil })
		group.Go(func() error { d.probe.Loop(ctx, d.window); return nil })
		group.Go(func() error { d.followClock(ctx); return nil })
		group.Go(func() error { d.watchStored(ctx); return nil })
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Serve only answers people at the listener until ctx ends; the other parts do not run. Where that shows that the store is
// damaged, it is set aside when it is opened next.
func (a *Agent) Serve(ctx context.Context, listener net.Listener) error {
	err := a.serve(ctx, listener, false)
	select {
	case why := <-a.db.Damaged():
		return errors.Join(err, state.Condemn(a.options.Config.StateDir, why))
	default:
		return err
	}
}

func (a *Agent) serve(ctx context.Context, listener net.Listener, atWork bool) error {
	id := a.who()
	service := &control.Service{
		AtWork: atWork,
		Acts:   acts.Open(a.options.Config.StateDir),
		Agent:  id.Agent, Version: a.options.Version, ServerAddress: id.Server,
		ServerProblem:  a.serverProblem,
		Problems:       a.problems,
		ClockOffset:    a.clock.Offset,
		CertificateEnd: func() time.Time { return a.who().Credential.Certificate.Leaf.NotAfter },
	}
	for _, d := range a.destinations {
		service.Destinations = append(service.Destinations, control.Destination{
			Name: d.config.Name, Location: d.config.Location(), Faults: d.faults, Log: d.log, Night: d.night, Store: d.store,
			Space: d.space.get, LogProblem: d.logProblem, Probe: d.probe,
			Limits: d.limits(a.serverProblem),
		})
	}
	return service.Serve(ctx, listener)
}

func (a *Agent) serverProblem() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.problem, a.renewal)
}

// stateRoom returns the check that the volume of the agent's own state has its reserve: the store writes through
// memory maps, which a full disk would kill.
func stateRoom(c config.Config) func() error {
	return func() error {
		free, err := durable.FreeBytes(c.StateDir)
		if err != nil {
			return fmt.Errorf("look for room on the volume of the agent's state: %w", err)
		}
		if reserve := int64(*c.StateReserve); free < reserve {
			return fmt.Errorf("the volume of the agent's own state (%s) has %d MiB free, and %d MiB stay in reserve: "+
				"free space there, or lower `state_reserve`; nothing is copied meanwhile, and nothing is lost", c.StateDir, free>>20, reserve>>20)
		}
		return nil
	}
}
