package simulation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

func digestOf(data []byte) backup.Digest {
	return backup.Digest{SHA256: sha256.Sum256(data), SizeBytes: int64(len(data))}
}

// settle ends all faults, and lets time pass until both sides agree; then until everything is closed, and they agree
// again. That this does not come to be is a violation.
func (w *world) settle() error {
	w.source.SetAway(false)
	for _, d := range w.destinations {
		d.place.Mount(true)
	}
	for _, until := range []func(d *destination, log *store.Ledger) error{nil, allClosed} {
		if err := w.settleUntil(until); err != nil {
			return err
		}
		if len(w.found()) > 0 {
			return nil
		}
	}
	return w.checkEnd()
}

// patience is how many rounds of five minutes agreement may take.
const patience = 80

func (w *world) settleUntil(also func(d *destination, log *store.Ledger) error) error {
	var open error
	for round := range patience {
		if err := w.heal(); err != nil {
			return err
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if err := w.check(); err != nil {
			return err
		}
		if open = w.open(also); open == nil && round > 0 {
			return nil
		}
		if len(w.found()) > 0 {
			return nil
		}
	}
	w.violate("no agreement: %v", open)
	return nil
}

// heal brings everything up.
func (w *world) heal() error {
	if err := w.reapServer(); err != nil {
		return err
	}
	if !w.server.Up() {
		if err := w.startServer(); err != nil {
			return err
		}
	}
	for _, m := range w.machines {
		m.link.heal()
		if err := w.reap(m); err != nil {
			return err
		}
		if !m.Up() && (!m.superseded || !w.cloned) {
			if err := m.Start(w.ctx, m.link); err != nil {
				return err
			}
		}
		m.KillAt(0, false)
		m.Wake()
	}
	if !slices.ContainsFunc(w.machines, func(m *machine) bool { return m.Up() }) {
		// Of clones that ended each other, somebody starts one.
		w.machines[0].superseded = false
		if err := w.machines[0].Start(w.ctx, w.machines[0].link); err != nil {
			return err
		}
	}
	w.server.KillAt(0, false)
	w.server.Look()
	return nil
}

// open says what is not as it should be in the end; nil where all is well.
func (w *world) open(also func(d *destination, log *store.Ledger) error) error {
	for _, d := range w.destinations {
		log, err := w.server.Ledger(d.origin)
		if err != nil {
			return err
		}
		if stopped, err := w.alarms(d); err != nil || stopped {
			if err != nil {
				return err
			}
			continue
		}
		machines, err := w.serving(d)
		if err != nil {
			return err
		}
		ok := false
		for _, m := range machines {
			if err = w.agrees(m, d, log); err == nil {
				ok = true
				break
			}
		}
		if !ok {
			return err
		}
		if also != nil {
			if err := also(d, log); err != nil {
				return err
			}
		}
	}
	return nil
}

// alarms reports whether an alarm stands that stops a log, and makes sure that it stands for a reason.
func (w *world) alarms(d *destination) (stopped bool, err error) {
	kinds, recovering, err := w.server.Alarms(d.origin)
	if err != nil {
		return false, err
	}
	log, err := w.server.Ledger(d.origin)
	if err != nil {
		return false, err
	}
	size, _ := log.Position()
	stops := 0
	for _, kind := range kinds {
		switch {
		case kind == "CLONED" && w.cloned:
		case kind == "TAIL_LOST" && w.serverBack && (w.storesBack || w.replaced || w.cloned || size == 0):
			stops++
		case kind == "FORK" && w.serverBack && (w.cloned || w.replaced || w.storesBack):
			stops++
		default:
			w.violate("the alarm %s stands without a cause", kind)
		}
		d.alarmed[kind] = true
	}
	if stops > 1 {
		w.violate("more than one alarm stops a log")
	}
	if recovering && stops == 0 {
		return false, errors.New("the log recovers")
	}
	return stops > 0, nil
}

// agrees says why a machine and the server do not agree about a destination; nil where they do.
func (w *world) agrees(m *machine, d *destination, log *store.Ledger) error {
	own, err := m.Ledger(d.origin)
	if err != nil {
		return err
	}
	size, root := log.Position()
	head := ledger.Head{Origin: d.origin, Size: size, Root: root}
	if ours, root := own.Position(); ours != size || root != head.Root {
		return fmt.Errorf("the agent's log has %d entries, the server's %d (%v)", ours, size, m.Problems()[d.name])
	}
	if prepared, err := own.Prepared(); own.OutboxLen() > 0 || prepared != nil || err != nil {
		return fmt.Errorf("receipts wait (%v)", m.Problems()[d.name])
	}
	notes := map[string][]byte{"the server": log.Agreed(), "the agent": own.Agreed(), "the destination": d.place.Files()[backup.OwnPrefix+"/head"]}
	retired, err := w.isRetired(d)
	if err != nil {
		return err
	}
	if retired && w.placesBack { // nobody looks any more whether a place that has ended went back
		delete(notes, "the destination")
	}
	for whose, note := range notes {
		if agreed, _, err := ledger.ParseHead(note); err != nil || agreed != head {
			return fmt.Errorf("%s has not agreed to the latest head (%v)", whose, m.Problems()[d.name])
		}
	}
	files := d.place.Files()
	pending := 0
	err = eachItem(log, backup.Pending, func(item backup.Item) {
		if _, taken := files[item.Path]; !taken {
			pending++
		}
	})
	if err == nil && pending > 0 && !retired {
		err = fmt.Errorf("%d items are pending that could be copied (%v)", pending, m.Problems()[d.name])
	}
	return err
}

// allClosed says that a manifest is open.
func allClosed(_ *destination, log *store.Ledger) (err error) {
	log.View(func(l *ledger.Log) {
		for _, m := range l.Manifests {
			if m.Open && !l.Retired {
				err = fmt.Errorf("manifest %d is open", m.Number)
			}
		}
	})
	return err
}

// checkEnd looks at what must hold when everything has settled.
func (w *world) checkEnd() error {
	up := 0
	for _, m := range w.machines {
		if m.Up() {
			up++
		}
	}
	nobodyKnows := w.storesBack && w.serverBack && w.placesBack // what was before that
	stops := false                                              // an alarm that stops a log leaves no session to end
	for _, d := range w.destinations {
		log, err := w.server.Ledger(d.origin)
		if err != nil {
			return err
		}
		retired, err := w.isRetired(d)
		if err != nil {
			return err
		}
		stopped, err := w.alarms(d)
		if err != nil {
			return err
		}
		stops = stops || stopped
		files := d.place.Files()
		ended, untold := retired || stopped, d.silent // of what nothing told the agent
		if ended {
			untold = d.harmed // it looks no more
		}
		if !nobodyKnows {
			if err := w.checkConfirmed(d, log, files, untold); err != nil {
				return err
			}
		}
		err = eachItem(log, backup.Expired, func(item backup.Item) {
			if data, ok := files[item.Path]; ok && digestOf(data) == item.Digest && !d.silent[item.Path] && !ended {
				w.violate("at the destination with the right contents, yet expired")
			}
		})
		if err != nil {
			return err
		}
		if !stopped {
			if err := w.checkDecided(d, log); err != nil {
				return err
			}
		}
		for kind := range d.alarmed {
			w.saw("alarm " + kind)
		}
		for head := range d.agreed {
			if stopped || nobodyKnows {
				break
			}
			if root, err := log.RootAt(head.Size); err != nil || root != head.Root {
				w.violate("an agreed head is not in the log any more, and no alarm stands")
			}
		}
		if err := w.checkFolds(d, log); err != nil {
			return err
		}
	}
	if up > 1 && !w.replaced && !stops {
		w.violate("two processes of one agent live on")
	}
	return nil
}

func (w *world) checkFolds(d *destination, log *store.Ledger) error {
	if err := w.checkFold(context.WithoutCancel(w.ctx), "the server's log", log); err != nil {
		return err
	}
	for _, m := range w.machines {
		own, err := m.Ledger(d.origin)
		if err != nil {
			return err
		}
		if err := w.checkFold(context.WithoutCancel(w.ctx), "an agent's log", own); err != nil {
			return err
		}
	}
	return nil
}
