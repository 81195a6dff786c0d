package night

import (
	"context"
	"slices"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// Choice says which items a person means: those of a night, those with some paths, or, where neither is given, all.
type Choice struct {
	Night backup.Date // zero where it is not by night
	Paths []string    // as the manifest has them
}

// Learn returns when the log is as the server's: what a person chooses is chosen from what is known now, also where the process has
// only begun.
func (n *Night) Learn(ctx context.Context) error { return n.Session.WaitSynced(ctx, n.Patience) }

// Choose returns the items in one of the states that a choice means, and the paths among which there is none. See [Night.Learn].
func (n *Night) Choose(c Choice, states ...backup.State) (chosen Chosen, unknown []string, err error) {
	chosen = make(Chosen)
	left := make(map[string]bool, len(c.Paths))
	for _, path := range c.Paths {
		left[path] = true
	}
	for _, m := range n.sealed() {
		if c.Night != (backup.Date{}) && m.Night != c.Night || m.Items == 0 {
			continue
		}
		sets, err := n.Log.States(m.Number)
		if err != nil {
			return nil, nil, err
		}
		items := sets.Among(ledger.NewSet(ledger.Range{First: 0, Last: m.Items - 1}), states...)
		if len(c.Paths) > 0 {
			if items, err = n.named(m.Number, items, left); err != nil {
				return nil, nil, err
			}
		}
		if !items.IsEmpty() {
			chosen[m.Number] = items
		}
	}
	for _, path := range c.Paths {
		if left[path] {
			unknown = append(unknown, path)
		}
	}
	return chosen, unknown, nil
}

// named returns those of some items whose paths are in left, and takes the paths out of it.
func (n *Night) named(manifest int64, items ledger.Set, left map[string]bool) (ledger.Set, error) {
	var found []ledger.Range
	err := n.eachItem(manifest, items, func(l lookup) error {
		for i, name := range l.names {
			if left[name] {
				delete(left, name)
				found = append(found, ledger.Range{First: l.indexes[i], Last: l.indexes[i]})
			}
		}
		return nil
	})
	return ledger.NewSet(found...), err
}

// sealed returns what the log says of its manifests now.
func (n *Night) sealed() (all []ledger.Manifest) {
	n.Log.View(func(log *ledger.Log) { all = slices.Clone(log.Manifests) })
	return all
}

// Size returns how many bytes chosen items have.
func (n *Night) Size(chosen Chosen) (sizeBytes int64, err error) {
	for manifest, items := range chosen {
		if items.IsEmpty() {
			continue
		}
		part, err := n.sizeOf(manifest, items)
		if err != nil {
			return 0, err
		}
		sizeBytes += part
	}
	return sizeBytes, nil
}
