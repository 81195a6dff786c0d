package night

import (
	"context"
	"errors"
	"io/fs"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/ledger"
)

// Errors of [Night.JudgeKept].
var (
	ErrWentBack    = errWentBack
	ErrKeptUnknown = errKeptUnknown
	// ErrBusy says that receipts are being made, so that what stands beside the marker changes meanwhile.
	ErrBusy = errors.New("recordings are being confirmed at this moment")
)

// Kept is what stands beside a destination's marker; nil where it is absent.
type Kept struct{ Head, LastDelivered []byte }

// ReadKept reads what stands beside the marker of place. It uses nothing of the agent's own state, and changes nothing.
func ReadKept(ctx context.Context, place *dest.Place) (kept Kept, err error) {
	if kept.Head, err = readOwnIfAny(ctx, place, dest.Head); err != nil {
		return Kept{}, err
	}
	kept.LastDelivered, err = readOwnIfAny(ctx, place, dest.LastDelivered)
	return kept, err
}

// readOwnIfAny returns nil for a file that is truly absent, and something else for one that is empty.
func readOwnIfAny(ctx context.Context, place *dest.Place, file dest.OwnFile) ([]byte, error) {
	data, err := place.ReadOwn(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return append([]byte{}, data...), err
}

// JudgeKept compares what was read beside the marker with log and outbox, as every night does before it trusts a place. It is
// [ErrWentBack], [ErrKeptUnknown], or [ErrBusy] where the two cannot be compared now; it waits for nothing and changes nothing.
func (n *Night) JudgeKept(kept Kept) error {
	if !n.receipts.TryLock() {
		return ErrBusy
	}
	defer n.receipts.Unlock()
	err := n.judgeHead(kept.Head)
	if err == nil {
		err = n.judgeMark(kept.LastDelivered)
	}
	switch {
	case errors.Is(err, errHalfMade):
		return nil
	case !errors.Is(err, errWentBack):
		return err
	}
	if n.Condition().Running {
		return ErrBusy
	}
	return err
}

// Pending returns how many recordings are pending, and their bytes as far as they are known here.
func (n *Night) Pending() (items, sizeBytes int64, err error) {
	var manifests []ledger.Manifest
	n.Log.View(func(log *ledger.Log) { manifests = append(manifests, log.Manifests...) })
	for _, m := range manifests {
		if !m.Open {
			continue
		}
		pending, err := n.Log.Items(m.Number, backup.Pending)
		if err != nil {
			return 0, 0, err
		}
		pending = pending.Difference(n.Log.OutboxDelivered(m.Number))
		items += pending.Len()
		if pending.Len() == m.Items {
			sizeBytes += m.Bytes
			continue
		}
		some, err := n.bytesOf(m.Number, pending)
		if err != nil {
			return 0, 0, err
		}
		sizeBytes += some
	}
	return items, sizeBytes, nil
}

func (n *Night) bytesOf(manifest int64, wanted ledger.Set) (sizeBytes int64, err error) {
	if wanted.IsEmpty() {
		return 0, nil
	}
	index := wanted.Ranges()[0].First
	for line, err := range n.Log.Lines(manifest, index) {
		if err != nil {
			return 0, err
		}
		if wanted.Contains(index) && !line.Forgotten {
			sizeBytes += line.Item.Digest.SizeBytes
		}
		if index++; index > wanted.Max() {
			break
		}
	}
	return sizeBytes, nil
}
