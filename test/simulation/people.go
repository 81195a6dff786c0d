package simulation

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/agentsim"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/serversim"
)

// item names an item of a log, whatever became of the log since.
type item struct {
	manifest, index int64
	root            tlog.Hash // of the manifest
}

// decision is what a person decided about an item.
type decision struct {
	by    *machine
	known time.Time // since when all machines knew it from their own logs; zero where they do not
	gone  bool      // with the store in which its receipt waited
}

func (w *world) newLink(agent string) *link {
	return newLink(w.network, serversim.Tenant, agent, func() { w.saw("receipts forked") })
}

// checkForked makes sure that receipts forked only where a store was put back with receipts in it that waited, or copied.
func (w *world) checkForked() {
	w.mu.Lock()
	forked := w.seen["receipts forked"] > 0
	w.mu.Unlock()
	if forked && !w.cloned && !w.waitsBack {
		w.violate("an agent was told that it went back, though it signs only for what it has caught up with")
	}
}

// waive lets a person decline what is pending.
func (w *world) waive(r int) error { return w.decide(r, backup.Waived) }

// release lets a person give up what is confirmed.
func (w *world) release(r int) error { return w.decide(r, backup.Released) }

func (w *world) decide(r int, to backup.State) error {
	m, d := w.machine(r), w.destination(r/7)
	decided, ok, err := m.Decide(d.origin, to, r/13)
	if errors.Is(err, agentsim.ErrNotNow) {
		w.saw("refused acts")
		return nil
	}
	if err != nil || !ok {
		return err
	}
	own, err := m.Ledger(d.origin)
	if err != nil {
		return err
	}
	own.View(func(l *ledger.Log) {
		if f, ok := l.Manifest(decided.Manifest); ok {
			d.decided[item{decided.Manifest, decided.Index, f.Root}] = &decision{by: m}
		}
	})
	return nil
}

// accept lets a person accept what an audit found.
func (w *world) accept(r int) error {
	took, err := w.machine(r).Accept(w.destination(r / 7).origin)
	if took {
		w.saw("accepted")
	}
	return err
}

// retire ends a log.
func (w *world) retire(r int) error {
	w.said(w.server.Retire(w.destination(r).origin))
	return nil
}

func (w *world) isRetired(d *destination) (retired bool, err error) {
	log, err := w.server.Ledger(d.origin)
	if err == nil {
		log.View(func(l *ledger.Log) { retired = l.Retired })
	}
	return retired, err
}

// deafen holds back for a while what the server says on watches.
func (w *world) deafen(r int) error {
	w.machine(r).link.deafen([]time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute}[r/5%4])
	return nil
}

// histories makes two histories of which somebody may hold both: server and agent are put back to the same instant while the
// share cannot be seen, and go on from there; then, or not, what the agent had in between comes back.
func (w *world) histories(r int) error {
	m := w.machine(r)
	if !m.Up() || !w.server.Up() {
		return nil
	}
	before, err := m.Snapshot()
	if err != nil {
		return err
	}
	if err := w.copyServer(0); err != nil {
		return err
	}
	ledgers := w.serverCopies[len(w.serverCopies)-1]
	if err := errors.Join(w.record(r), w.tick(5), w.check()); err != nil { // this history is not looked at any more
		return err
	}
	for _, d := range w.destinations {
		d.place.Mount(false)
	}
	if err := w.stop(m); err != nil {
		return err
	}
	after, err := m.Snapshot()
	if err != nil {
		return err
	}
	m.copies = append(m.copies, after)
	if err := w.stopServer(); err != nil {
		return err
	}
	time.Sleep(restoring)
	w.serverBack = true
	if err := errors.Join(w.server.Restore(ledgers, true, true), w.putBack(m, before), w.startServer()); err != nil {
		return err
	}
	for range 2 { // the second watch tells the server what the agent holds
		if err := w.reap(m); err != nil {
			return err
		}
		if m.Up() || m.superseded {
			continue
		}
		if err := m.Start(w.ctx, m.link); err != nil {
			return err
		}
		if err := errors.Join(w.record(r+1), w.tick(2), w.stop(m)); err != nil {
			return err
		}
	}
	if r%2 == 0 {
		return nil
	}
	return w.putBack(m, after)
}

// decidedBack lets go of decisions whose receipts went with the store of a machine, which was just set back.
func (w *world) decidedBack(m *machine) error {
	for _, d := range w.destinations {
		own, err := m.Ledger(d.origin)
		if err != nil {
			return err
		}
		leaves, err := own.Outbox()
		if err != nil {
			return err
		}
		waits := map[item]bool{}
		for _, leaf := range leaves {
			e, err := ledger.ParseEntry(leaf)
			if err != nil {
				return err
			}
			for _, about := range decidedBy(e) {
				waits[about] = true
			}
		}
		prepared, err := own.Prepared()
		if err != nil {
			return err
		}
		w.waitsBack = w.waitsBack || len(leaves) > 0 || prepared != nil
		for about, known := range d.decided {
			if known.by == m {
				known.gone = known.known.IsZero() && !waits[about]
			}
		}
	}
	return nil
}

// noteDecided notes which decisions all machines know from their own logs.
func (w *world) noteDecided(d *destination) error {
	for about, known := range d.decided {
		if !known.known.IsZero() {
			continue
		}
		all := true
		for _, m := range w.machines {
			own, err := m.Ledger(d.origin)
			if err != nil {
				return err
			}
			var root tlog.Hash
			own.View(func(l *ledger.Log) {
				if f, ok := l.Manifest(about.manifest); ok {
					root = f.Root
				}
			})
			if root != about.root {
				all = false
				break
			}
			states, err := own.States(about.manifest)
			if err != nil {
				return err
			}
			state, _ := states.State(about.index)
			all = all && (state == backup.Waived || state == backup.Released)
		}
		if all {
			known.known = time.Now()
		}
	}
	return nil
}

// checkDecided makes sure in the end that no decision of a person was forgotten.
func (w *world) checkDecided(d *destination, log *store.Ledger) error {
	if retired, err := w.isRetired(d); err != nil || retired || w.cloned || w.replaced || w.storesBack && w.serverBack {
		return err
	}
	size, _ := log.Position()
	said := map[item]bool{}
	for leaf, err := range log.Entries(0, size) {
		if err != nil {
			return err
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return err
		}
		for _, about := range decidedBy(e) {
			said[about] = true
		}
	}
	for about, known := range d.decided {
		if !known.gone && !said[about] {
			w.violate("a decision of a person was forgotten")
		}
	}
	return nil
}

// decidedBy returns what an entry says that a person decided about.
func decidedBy(e ledger.Entry) (all []item) {
	r, ok := ledger.ReceiptOf(e.Body)
	if !ok || e.Body.Kind() != ledger.KindWaived && e.Body.Kind() != ledger.KindReleased {
		return nil
	}
	for index := range r.Indexes.All() {
		all = append(all, item{r.Manifest, index, r.Root})
	}
	return all
}

// observer counts audits by what agents log of them.
type observer struct {
	slog.Handler
	world *world
}

// Enabled implements slog.Handler.
func (o observer) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || o.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (o observer) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "auditing the destination" {
		o.world.saw("audit")
	}
	if !o.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return o.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (o observer) WithAttrs(attrs []slog.Attr) slog.Handler {
	return observer{o.Handler.WithAttrs(attrs), o.world}
}

// WithGroup implements slog.Handler.
func (o observer) WithGroup(name string) slog.Handler {
	return observer{o.Handler.WithGroup(name), o.world}
}
