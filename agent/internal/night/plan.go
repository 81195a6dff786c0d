package night

import (
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// Plan is what a pass would do.
type Plan struct {
	Items, Bytes int64     // pending, and in no receipt that waits
	Deadline     time.Time // the earliest of them; zero where nothing is pending
}

// Plan says what a pass would take up now. It looks at neither the server nor the destination, so that what is there
// already counts too.
func (n *Night) Plan() (Plan, error) {
	var manifests []ledger.Manifest
	n.Log.View(func(log *ledger.Log) { manifests = append(manifests, log.Manifests...) })
	var plan Plan
	for _, m := range manifests {
		if !m.Open {
			continue
		}
		signed := n.Log.OutboxDelivered(m.Number)
		pending, err := n.Log.Items(m.Number, backup.Pending)
		if err != nil {
			return Plan{}, err
		}
		if pending = pending.Difference(signed); pending.IsEmpty() {
			continue
		}
		sizeBytes := m.Bytes
		if pending.Len() < m.Items {
			if sizeBytes, err = n.sizeOf(m.Number, pending); err != nil {
				return Plan{}, err
			}
		}
		plan.Items += pending.Len()
		plan.Bytes += sizeBytes
		if plan.Deadline.IsZero() || m.Deadline.Before(plan.Deadline) {
			plan.Deadline = m.Deadline
		}
	}
	return plan, nil
}

// sizeOf adds up what items of a manifest hold.
func (n *Night) sizeOf(manifest int64, items ledger.Set) (sizeBytes int64, err error) {
	index := items.Ranges()[0].First
	for line, err := range n.Log.Lines(manifest, index) {
		if err != nil {
			return 0, err
		}
		if items.Contains(index) && !line.Forgotten {
			sizeBytes += line.Item.Digest.SizeBytes
		}
		if index++; index > items.Max() {
			break
		}
	}
	return sizeBytes, nil
}
