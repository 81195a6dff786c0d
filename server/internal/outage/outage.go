// Package outage knows when the server was not there, and moves deadlines for it, or as a courtesy, when an operator says
// so. It proposes: it decides nothing by itself, and appends nothing but through package sequencer.
package outage

import (
	"context"
	"log/slog"
	"time"

	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// period is how often is noted that the server is there.
const period = time.Minute

// Outages are those of one server. Its fields are set before the first call and all required; its methods may be called
// concurrently.
type Outages struct {
	Registry   *registry.Registry
	Sequencers *sequencer.Set
	Logger     *slog.Logger
}

// Run notes once a minute that the server is there, and names every time in which it was not, until ctx ends, whose cause it
// then returns.
func (o *Outages) Run(ctx context.Context) error {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		if err := o.Note(ctx, time.Now()); err != nil {
			o.Logger.LogAttrs(ctx, slog.LevelError, "presence not noted", slog.Any("error", err))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Note notes that the server is there at the instant at. Where it was not for a while, it says so in the log.
func (o *Outages) Note(ctx context.Context, at time.Time) error {
	found, err := o.Registry.NotePresence(at)
	if err != nil || found.Number == 0 {
		return err
	}
	count, err := o.ManifestCount(ctx, found, at)
	if err != nil {
		return err
	}
	o.Logger.LogAttrs(ctx, slog.LevelWarn, "the server was not there: decide whether to extend deadlines", slog.Int64("outage", found.Number),
		slog.Time("from", found.Start), slog.Time("until", found.End), slog.Int64("manifests", count))
	return nil
}

// ManifestCount returns how many manifests of the fleet would be extended for an outage at the instant at.
func (o *Outages) ManifestCount(ctx context.Context, outage registry.Outage, at time.Time) (count int64, err error) {
	would, err := o.Extend(ctx, Request{Outage: outage, DryRun: true}, at)
	for _, e := range would {
		if e.Problem == "" {
			count++
		}
	}
	return count, err
}
