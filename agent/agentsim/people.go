package agentsim

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/internal/ledger"
)

// ErrNotNow says that a person's decision could not be taken: no process runs, its log has not caught up, or another agent
// serves the destination.
var ErrNotNow = errors.New("a decision cannot be taken now")

// Decided is one item about which a person decided.
type Decided struct {
	Manifest, Index int64
	Item            backup.Item
}

// Decide signs, as a person's command does, that the client declines (Waived) the n-th item that is pending, or gives up
// (Released) the n-th that is confirmed; false where there is none. Nothing is deleted. The receipt goes the way of all others.
func (m *Machine) Decide(o ledger.Origin, to backup.State, n int) (d Decided, ok bool, err error) {
	part := m.part(o)
	if part == nil || !m.Up() {
		return Decided{}, false, ErrNotNow
	}
	if err := part.session.WaitSynced(m.process.ctx, time.Second); err != nil {
		return Decided{}, false, fmt.Errorf("%w: %w", ErrNotNow, err)
	}
	log, err := m.db.Ledger(o)
	if err != nil {
		return Decided{}, false, err
	}
	serves := false
	log.View(func(l *ledger.Log) { serves = l.AgentKey == part.Key.Verifier() && !l.Retired })
	if !serves {
		return Decided{}, false, ErrNotNow
	}
	from := backup.Pending
	if to == backup.Released {
		from = backup.Confirmed
	}
	var all []Decided
	var manifests []ledger.Manifest
	log.View(func(l *ledger.Log) { manifests = append(manifests, l.Manifests...) })
	for _, f := range manifests {
		items, err := log.Items(f.Number, from)
		if err != nil {
			return Decided{}, false, err
		}
		for index := range items.All() {
			line, err := log.Line(f.Number, index)
			if err != nil {
				return Decided{}, false, err
			}
			all = append(all, Decided{f.Number, index, line.Item})
		}
	}
	if len(all) == 0 {
		return Decided{}, false, nil
	}
	d = all[n%len(all)]
	_, err = log.Enqueue(func(number int64, previous tlog.Hash) ([]byte, error) {
		at, ok := part.night.Client.Clock.Now()
		if !ok {
			return nil, ErrNotNow
		}
		r := ledger.Receipt{Manifest: d.Manifest, Root: manifests[d.Manifest-1].Root, Number: number, Previous: previous,
			Indexes: ledger.NewSet(ledger.Range{First: d.Index, Last: d.Index})}
		var body ledger.Body = ledger.Waived{Receipt: r, Reason: ledger.WaivedDeclined}
		if to == backup.Released {
			body = ledger.Released{Receipt: r, Reason: ledger.ReleasedCommand}
		}
		return ledger.Sign(ledger.Entry{Origin: o, Time: at.Truncate(time.Second), Body: body}, part.Key)
	})
	if err != nil {
		return Decided{}, false, fmt.Errorf("%w: %w", ErrNotNow, err)
	}
	part.night.Wake()
	return d, true, nil
}

// Accept accepts, as a person does, what the last audit of a destination found, and reports whether there was any.
func (m *Machine) Accept(o ledger.Origin) (bool, error) {
	part := m.part(o)
	if part == nil || !m.Up() {
		return false, nil
	}
	_, _, err := part.night.AcceptLosses()
	if errors.Is(err, night.ErrNoLosses) {
		return false, nil
	}
	part.night.Wake()
	return err == nil, err
}

func (m *Machine) part(o ledger.Origin) *part {
	if m.process == nil {
		return nil
	}
	for _, p := range m.process.parts {
		if p.Origin == o {
			return p
		}
	}
	return nil
}
