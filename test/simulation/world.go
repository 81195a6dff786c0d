package simulation

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/agentsim"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/serversim"
)

// world is everything in one run. Its fields belong to the goroutine that runs the schedule, if not said otherwise.
type world struct {
	ctx     context.Context
	logger  *slog.Logger
	dir     string // for what cannot be in memory
	onDisk  bool   // whether stores are in dir too
	source  *serversim.Source
	server  *serversim.Server
	network *network

	serverCopies []*serversim.Copy
	destinations []*destination
	machines     []*machine

	// What happened that changes what may be expected.
	cloned     bool
	storesBack bool // a machine's store was set back or lost
	serverBack bool
	placesBack bool
	replaced   bool // another agent was assigned
	waitsBack  bool // a machine's store was set back to a copy in which receipts waited

	mu         sync.Mutex     // guards what follows
	seen       map[string]int // what came about, to see that schedules reach it
	violations []string
}

// destination is one log, the share that it is about, and what is known of both.
type destination struct {
	name      string
	origin    ledger.Origin
	serverKey ledger.Verifier
	place     *agentsim.Place
	copies    []agentsim.Copy

	known    map[string]map[backup.Digest]bool // contents that were ever sealed under a path
	foreign  map[string][]byte                 // files of somebody else's
	harmed   map[string]bool                   // files that were taken away or altered behind the agent's back
	cameBack map[string]time.Time              // files that came back with an older copy of the share; guarded by world.mu
	silent   map[string]bool                   // those of which nothing tells the agent
	agreed   map[ledger.Head]bool              // every head that was ever seen agreed
	read     tail                              // entries of the server's log that were looked at
	decided  map[item]*decision                // what people declined or gave up
	kept     string                            // the head kept at the place that was looked at last
	alarmed  map[string]bool                   // kinds of alarms that were raised
}

// machine is an agent's machine and its line.
type machine struct {
	*agentsim.Machine
	name       string
	link       *link
	copies     []*store.Snapshot
	superseded bool // its process was told that a later one began
}

// newWorld begins with a server, one machine, and one or two destinations.
func newWorld(ctx context.Context, dir string, onDisk bool, destinations int, logger *slog.Logger) (*world, error) {
	w := &world{ctx: ctx, dir: dir, onDisk: onDisk, source: serversim.NewSource(), network: &network{}, seen: map[string]int{}}
	w.logger = slog.New(observer{logger.Handler(), w})
	var err error
	w.server, err = serversim.New(serversim.Config{Source: w.source, Dir: filepath.Join(dir, "server"), OnDisk: onDisk, Logger: logger, Served: w.served, Closed: w.closed})
	if err != nil {
		return nil, err
	}
	if err := w.startServer(); err != nil {
		return nil, err
	}
	for i := range destinations {
		d := &destination{name: []string{"nas", "usb"}[i], known: map[string]map[backup.Digest]bool{}, foreign: map[string][]byte{},
			harmed: map[string]bool{}, cameBack: map[string]time.Time{}, silent: map[string]bool{}, agreed: map[ledger.Head]bool{}, decided: map[item]*decision{}, alarmed: map[string]bool{}}
		if d.origin, d.serverKey, err = w.server.AddDestination(d.name); err != nil {
			return nil, err
		}
		if d.place, err = agentsim.NewPlace(ctx, d.name, string(d.origin)); err != nil {
			return nil, err
		}
		w.destinations = append(w.destinations, d)
	}
	return w, w.addMachine("aaaaaaaaaaaaaaaa", "")
}

// addMachine lets a new machine in, in place of the agent named replaces, if any, and starts it.
func (w *world) addMachine(name, replaces string) error {
	c := agentsim.Config{Logger: w.logger.With(slog.String("agent", name))}
	if w.onDisk {
		c.Dir = filepath.Join(w.dir, name)
	}
	for _, d := range w.destinations {
		sum := sha256.Sum256([]byte(name + string(d.origin)))
		key, err := ledger.NewSigningKey(d.origin.AgentKeyName(name), ed25519.NewKeyFromSeed(sum[:]))
		if err != nil {
			return err
		}
		if err := w.server.Admit(name, d.origin, key, replaces); err != nil {
			return err
		}
		c.Destinations = append(c.Destinations, agentsim.Destination{Name: d.name, Origin: d.origin, Key: key, ServerKey: d.serverKey, Place: d.place})
	}
	m := &machine{name: name, link: w.newLink(name)}
	var err error
	if m.Machine, err = agentsim.New(c); err != nil {
		return err
	}
	w.machines = append(w.machines, m)
	return m.Start(w.ctx, m.link)
}

// startServer starts a process of the server and lets calls reach it.
func (w *world) startServer() error {
	if err := w.server.Start(w.ctx); err != nil || !w.server.Up() {
		return err
	}
	s := &served{ctx: w.server.Context(), methods: map[string]method{}}
	s.unary, s.stream = w.server.Guard()
	w.server.Register(s)
	w.network.serve(s)
	return nil
}

// reapServer waits until a process of the server that was killed is gone.
func (w *world) reapServer() error {
	if w.server.Up() {
		return nil
	}
	if s := w.network.process; s != nil {
		s.calls.Wait()
		w.network.serve(nil)
	}
	w.network.calls.Wait()
	return w.server.Reap()
}

// stopServer kills the process of the server and waits for its end.
func (w *world) stopServer() error {
	w.server.Kill()
	return w.reapServer()
}

// reap waits until a process that was killed, or ended by itself, is gone.
func (w *world) reap(m *machine) error {
	err := m.Reap()
	switch {
	case err == nil, errors.Is(err, agentsim.ErrKilled):
		return nil
	case agentsim.IsSuperseded(err):
		if !w.cloned {
			w.violate("a process was superseded although there is only one machine")
		}
		m.superseded = true
		return nil
	case errors.Is(err, store.ErrFailed):
		return nil
	}
	return fmt.Errorf("the process of %s ended: %w", m.name, err)
}

// stop kills a machine's process and waits for its end.
func (w *world) stop(m *machine) error {
	m.Kill()
	return w.reap(m)
}

// recover starts again what was killed, as chance says.
func (w *world) recover(r int) error {
	if err := w.reapServer(); err != nil {
		return err
	}
	if !w.server.Up() && r%4 != 0 {
		if err := w.startServer(); err != nil {
			return err
		}
	}
	for _, m := range w.machines {
		if err := w.reap(m); err != nil {
			return err
		}
		if !m.Up() && !m.superseded && r%3 != 0 {
			if err := m.Start(w.ctx, m.link); err != nil {
				return err
			}
		}
	}
	return nil
}

// do does one step and lets things settle.
func (w *world) do(s step) error {
	if err := w.recover(s.r); err != nil {
		return err
	}
	if err := acts[s.name].do(w, s.r); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	synctest.Wait()
	return w.check()
}

// close ends everything.
func (w *world) close() error {
	var errs []error
	for _, m := range w.machines {
		m.link.setDown(true)
		errs = append(errs, m.Close())
	}
	errs = append(errs, w.stopServer(), w.server.Close())
	return errors.Join(errs...)
}

// saw counts that something came about. It is safe for concurrent use.
func (w *world) saw(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[what]++
}

// violate records that something happened that must not. It is safe for concurrent use.
func (w *world) violate(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if message := fmt.Sprintf(format, args...); !slices.Contains(w.violations, message) {
		w.violations = append(w.violations, message)
	}
}

func (w *world) found() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.violations)
}

// destinationOf returns the destination with a log's origin.
func (w *world) destinationOf(origin ledger.Origin) *destination {
	for _, d := range w.destinations {
		if d.origin == origin {
			return d
		}
	}
	return nil
}

// serving returns the machines whose key is the one last assigned in the server's log.
func (w *world) serving(d *destination) ([]*machine, error) {
	log, err := w.server.Ledger(d.origin)
	if err != nil {
		return nil, err
	}
	var assigned ledger.Verifier
	log.View(func(l *ledger.Log) { assigned = l.AgentKey })
	var found []*machine
	for _, m := range w.machines {
		for _, served := range m.Destinations() {
			if served.Origin == d.origin && served.Key.Verifier() == assigned {
				found = append(found, m)
			}
		}
	}
	return found, nil
}

// inFlight is for how long contents may be on their way that were asked for when they were not at the destination.
const inFlight = 5 * time.Minute

// noteCameBack notes what a share has since an older copy of it was put back.
func (w *world) noteCameBack(d *destination, before, after map[string][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, data := range after {
		if was, ok := before[name]; !ok || string(was) != string(data) {
			d.cameBack[name] = time.Now()
		}
	}
}

// served is told of an item whose contents are about to be sent.
func (w *world) served(origin ledger.Origin, item backup.Item) {
	d := w.destinationOf(origin)
	if d == nil {
		return
	}
	w.mu.Lock()
	cameBack := time.Since(d.cameBack[item.Path]) < inFlight
	w.mu.Unlock()
	if !w.cloned && !cameBack && d.place.Holds(item.Path, item.Digest) {
		w.violate("what is at the destination already was pulled")
	}
}

// closed is told of manifests that the server has just closed.
func (w *world) closed(origin ledger.Origin, manifests []int64, uptime time.Duration) {
	d := w.destinationOf(origin)
	if d == nil || w.cloned || w.storesBack || w.serverBack {
		return
	}
	log, err := w.server.Ledger(origin)
	if err != nil {
		w.violate("read the server's log: %v", err)
		return
	}
	machines, err := w.serving(d)
	if err != nil {
		w.violate("read the server's log: %v", err)
		return
	}
	for _, number := range manifests {
		var m ledger.Manifest
		log.View(func(l *ledger.Log) { m, _ = l.Manifest(number) })
		if time.Now().Before(m.Deadline) {
			w.violate("a manifest was closed before its deadline")
		}
		if min(uptime, time.Since(m.Deadline)) >= 24*time.Hour {
			continue
		}
		for _, machine := range machines {
			w.checkOutbox(machine, origin, m)
		}
	}
}

// checkOutbox makes sure that no receipt made before the deadline of a manifest waits where it was just closed because the
// agent was heard.
func (w *world) checkOutbox(m *machine, origin ledger.Origin, closed ledger.Manifest) {
	log, err := m.Ledger(origin)
	if err != nil {
		w.violate("read the log of %s: %v", m.name, err)
		return
	}
	waiting, err := log.Outbox()
	if err != nil {
		w.violate("read the outbox of %s: %v", m.name, err)
		return
	}
	for _, leaf := range waiting {
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			w.violate("read the outbox of %s: %v", m.name, err)
			return
		}
		if r, ok := ledger.ReceiptOf(e.Body); ok && r.Manifest == closed.Number && e.Time.Before(closed.Deadline.Add(-2*time.Second)) {
			w.violate("a manifest was closed because the agent was heard, while a receipt made before the deadline waited")
		}
	}
}
