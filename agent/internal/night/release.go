package night

import (
	"context"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// Release is what a person gives up.
type Release struct {
	// Night chooses the recordings of one night; zero for the choice by OlderThanDays.
	Night backup.Date
	// OlderThanDays chooses the recordings of all nights that are more than so many days ago by the tenant's clock.
	OlderThanDays int
}

// Released is what was given up.
type Released struct {
	Items, Bytes int64
	First, Last  backup.Date // the nights; zero where nothing was
}

// Release signs that the client's own retention gives up what is confirmed of some nights, and returns when that is in the log:
// only then may it be deleted. It deletes nothing itself. It signs nothing for what is not confirmed, so that it may be repeated.
func (n *Night) Release(ctx context.Context, r Release) (released Released, err error) {
	err = n.between(ctx, func(ctx context.Context) error {
		before := n.Today().AddDays(-r.OlderThanDays)
		var manifests []ledger.Manifest
		n.Log.View(func(log *ledger.Log) { manifests = append(manifests, log.Manifests...) })
		for _, m := range manifests {
			if !r.Night.IsZero() && m.Night != r.Night || r.Night.IsZero() && m.Night.Compare(before) >= 0 {
				continue
			}
			confirmed, err := n.Log.Items(m.Number, backup.Confirmed)
			if err != nil {
				return err
			}
			if confirmed.IsEmpty() {
				continue
			}
			sizeBytes, err := n.sizeOf(m.Number, confirmed)
			if err != nil {
				return err
			}
			if err := n.signReleased(m.Number, confirmed, ledger.ReleasedCommand); err != nil {
				return err
			}
			released.add(m.Night, confirmed.Len(), sizeBytes)
		}
		return n.send(ctx)
	})
	return released, err
}

func (r *Released) add(night backup.Date, items, sizeBytes int64) {
	r.Items += items
	r.Bytes += sizeBytes
	if r.First.IsZero() || night.Compare(r.First) < 0 {
		r.First = night
	}
	if night.Compare(r.Last) > 0 {
		r.Last = night
	}
}

// signReleased signs that items are given up, for one of the Released reasons of package ledger.
func (n *Night) signReleased(manifest int64, items ledger.Set, reason string) error {
	for part := range parts(items) {
		err := n.signAct(manifest, part, func(r ledger.Receipt) ledger.Body { return ledger.Released{Receipt: r, Reason: reason} })
		if err != nil {
			return err
		}
	}
	return nil
}
