package outage

import (
	"context"
	"fmt"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// Request says which deadlines are moved. The zero value of a field that narrows it down stands for all.
type Request struct {
	Tenant, Destination string
	Manifest            int64           // of one destination
	Outage              registry.Outage // moves by its length what could have been copied during it; without a number, none
	By                  time.Duration   // where there is no outage
	Courtesy            bool            // the client asked for it, and it is not for an outage
	ClosedToo           bool
	DryRun              bool
}

// Extension is a deadline that was moved, or would be, or why it cannot be.
type Extension struct {
	Tenant, Destination string
	sequencer.Extension // its manifest is 0 where a problem is the destination's as a whole
}

// Extend moves deadlines, or says with a dry run what it would do, by tenant, destination and manifest. Only open
// manifests of which something is pending are moved, unless closed ones are asked for too, or one is named; the one named
// has a problem if it does not qualify. For one outage a manifest is moved once, however often it is asked for. What goes
// wrong in one log is a problem of its destination. The error is [registry.ErrNotFound] for tenant and destination.
func (o *Outages) Extend(ctx context.Context, req Request, at time.Time) (all []Extension, err error) {
	destinations, err := o.Registry.Destinations(req.Tenant)
	if err != nil {
		return nil, err
	}
	if req.Destination != "" {
		one, err := o.Registry.Destination(req.Tenant, req.Destination)
		if err != nil {
			return nil, err
		}
		destinations = []registry.Destination{one}
	}
	moved := false
	for _, d := range destinations {
		seq, ok := o.Sequencers.Of(d.Origin)
		if !ok || seq.Retired() && req.Destination == "" {
			continue
		}
		extensions, err := o.extend(ctx, seq, req, at)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			extensions = []sequencer.Extension{{Manifest: req.Manifest, Problem: err.Error()}}
		}
		for _, e := range extensions {
			moved = moved || e.Problem == ""
			all = append(all, Extension{d.Tenant, d.Name, e})
		}
	}
	if moved && !req.DryRun && req.Outage.Number != 0 {
		return all, o.answered(ctx, req.Outage, at)
	}
	return all, nil
}

// answered takes down that an outage was answered if nothing is left that would be extended for it.
func (o *Outages) answered(ctx context.Context, outage registry.Outage, at time.Time) error {
	left, err := o.ManifestCount(ctx, outage, at)
	if err != nil || left > 0 {
		return err
	}
	return o.Registry.AnswerOutage(outage.Number, at)
}

// extend is [Outages.Extend] of one log.
func (o *Outages) extend(ctx context.Context, seq *sequencer.Sequencer, req Request, at time.Time) ([]sequencer.Extension, error) {
	c := chooser{req: req, at: at, log: seq.Ledger()}
	var prepare func([]sequencer.Extension) error
	if n := req.Outage.Number; n != 0 {
		var err error
		if c.done, err = o.Registry.Extended(n, seq.Origin()); err != nil {
			return nil, err
		}
		prepare = func(extensions []sequencer.Extension) error {
			to := make([]registry.ExtendedTo, len(extensions))
			for i, e := range extensions {
				to[i] = registry.ExtendedTo{Manifest: e.Manifest, Deadline: e.New}
			}
			return o.Registry.NoteExtended(n, seq.Origin(), to)
		}
	}
	reason := ledger.ExtendedOutage
	if req.Courtesy {
		reason = ledger.ExtendedCourtesy
	}
	chosen, err := seq.Extend(ctx, reason, req.DryRun, at, c.choose, prepare)
	if c.err != nil {
		return nil, c.err
	}
	return chosen, err
}

// chooser says what becomes of each manifest of a log.
type chooser struct {
	req  Request
	at   time.Time
	log  entries
	done map[int64]time.Time // the deadlines to which manifests were extended for the same outage
	err  error               // the first that was met
}

// entries is a log's.
type entries interface {
	Entry(index int64) ([]byte, error)
}

func (c *chooser) choose(m ledger.Manifest, pending int64) (sequencer.Extension, bool) {
	named := c.req.Manifest == m.Number
	if c.req.Manifest != 0 && !named || c.err != nil {
		return sequencer.Extension{}, false
	}
	e := sequencer.Extension{Manifest: m.Number, Old: m.Deadline, New: m.Deadline.Add(c.req.By), PendingCount: pending}
	switch {
	case !m.Open && !c.req.ClosedToo:
		e.Problem = "it is closed, and closed manifests were not asked for"
		return e, named
	case pending == 0 && !named:
		return e, false
	}
	if c.req.Outage.Number != 0 {
		if e.New, e.Problem = c.forOutage(m); e.Problem != "" {
			return e, named
		}
	}
	if !e.New.After(c.at) {
		e.Problem = fmt.Sprintf("the new deadline, %s, would have passed already: extend it by more, as a length of time", e.New.UTC().Format(time.RFC3339))
	}
	return e, c.err == nil
}

// forOutage returns the deadline that answers the outage, or why the outage does not concern a manifest.
func (c *chooser) forOutage(m ledger.Manifest) (to time.Time, problem string) {
	if to, done := c.done[m.Number]; done {
		if !m.Deadline.Before(to) {
			return to, "it was extended for this outage already"
		}
		return to, ""
	}
	leaf, err := c.log.Entry(m.SealedAt)
	if err == nil {
		var sealed ledger.Entry
		if sealed, err = ledger.ParseEntry(leaf); err == nil && (!sealed.Time.Before(c.req.Outage.End) || !m.Deadline.After(c.req.Outage.Start)) {
			return to, "its time to be copied did not fall into the outage"
		}
	}
	if err != nil {
		c.err = fmt.Errorf("find when manifest %d was sealed: %w", m.Number, err)
	}
	return m.Deadline.Add(c.req.Outage.Length()), ""
}
