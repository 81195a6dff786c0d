package night

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/ledger"
)

// errWentBack says that what stands beside the marker is not what log and outbox say: the destination, or this
// agent's state, is an older version of itself.
var errWentBack = errors.New("the destination or this agent's state went back in time")

// errHalfMade says that a crash came between the mark of a receipt at the destination and the receipt itself. Nothing went back; the
// next pass resolves it.
var errHalfMade = errors.New("a receipt is half made: the next pass ends it")

// errKeptUnknown says that the log does not lead to the head that the destination keeps, which both sides signed: it is
// the log that lacks something. That head is never replaced by another before it does.
var errKeptUnknown = errors.New("the log does not lead to the head that the destination keeps: heads are compared again")

// marks remembers the last delivered receipt in log and outbox.
type marks struct {
	size int64 // entries of the log that were looked at
	last tlog.Hash
	any  bool
}

// receiptHash is the hash by which the next receipt of a key names this one (proto/README.md, section 1.3).
func receiptHash(leaf []byte) tlog.Hash { return sha256.Sum256(leaf) }

func formatMark(h tlog.Hash) []byte { return append(hex.AppendEncode(nil, h[:]), '\n') }

// lastDelivered returns the hash of the last delivered receipt in log and outbox, and false where there is none. It
// is called with n.receipts held.
func (n *Night) lastDelivered() (tlog.Hash, bool, error) {
	// The outbox first: what leaves it meanwhile for the log is then seen twice, and not missed.
	waiting, err := n.Log.Outbox()
	if err != nil {
		return tlog.Hash{}, false, err
	}
	size, _ := n.Log.Position()
	for leaf, err := range n.Log.Entries(n.marks.size, size) {
		if err != nil {
			return tlog.Hash{}, false, err
		}
		n.marks.note(leaf)
	}
	n.marks.size = size
	for _, leaf := range waiting {
		n.marks.note(leaf)
	}
	return n.marks.last, n.marks.any, nil
}

func (m *marks) note(leaf []byte) {
	if bytes.HasPrefix(leaf, []byte("wolkvox-backup entry delivered ")) {
		m.last, m.any = receiptHash(leaf), true
	}
}

// checkMarks compares what stands beside the marker with log and outbox: the head kept there must be one of the log's and
// not older than the last one agreed, and the last delivered receipt the same. errWentBack says that it is not so, errHalfMade
// that a crash caught a receipt half-way.
// errKeptUnknown says that the log lacks something; heads are then compared again.
func (n *Night) checkMarks(ctx context.Context, place *dest.Place) error {
	n.receipts.Lock()
	defer n.receipts.Unlock()
	return n.checkMarksLocked(ctx, place)
}

// checkMarksLocked is checkMarks with n.receipts held.
func (n *Night) checkMarksLocked(ctx context.Context, place *dest.Place) error {
	if err := n.checkKeptHead(ctx, place); err != nil {
		if errors.Is(err, errKeptUnknown) {
			n.Session.Resync()
		}
		return err
	}
	mark, err := readOwnIfAny(ctx, place, dest.LastDelivered)
	if err != nil {
		return n.atPlace(err)
	}
	return n.judgeMark(mark)
}

// judgeMark compares the last delivered receipt that a destination knows of, nil where it knows of none, with log and outbox.
// It is called with n.receipts held.
func (n *Night) judgeMark(mark []byte) error {
	last, any, err := n.lastDelivered()
	switch {
	case err != nil:
		return err
	case mark == nil && any:
		return fmt.Errorf("%w: it knows of no receipt", errWentBack)
	case mark != nil && (!any || !bytes.Equal(mark, formatMark(last))) && n.isPrepared(mark):
		return errHalfMade
	case mark != nil && (!any || !bytes.Equal(mark, formatMark(last))):
		return fmt.Errorf("%w: it knows of another last receipt", errWentBack)
	}
	return nil
}

// isPrepared reports whether a mark is that of the receipt that a crash left half made.
func (n *Night) isPrepared(mark []byte) bool {
	prepared, err := n.Log.Prepared()
	return err == nil && prepared != nil && bytes.Equal(mark, formatMark(receiptHash(prepared)))
}

func (n *Night) checkKeptHead(ctx context.Context, place *dest.Place) error {
	kept, err := readOwnIfAny(ctx, place, dest.Head)
	if err != nil {
		return n.atPlace(err)
	}
	return n.judgeHead(kept)
}

// judgeHead compares the head that a destination keeps, nil where it keeps none, with the log.
func (n *Night) judgeHead(kept []byte) error {
	agreed, err := sizeOf(n.Log.Agreed())
	switch {
	case err != nil:
		return err
	case kept == nil && agreed == 0:
		return nil
	case kept == nil:
		return fmt.Errorf("%w: it keeps no agreed head", errWentBack)
	}
	head, _, err := ledger.ParseHead(kept)
	if err == nil && head.Origin != n.Log.Origin() {
		err = fmt.Errorf("it is of %s", head.Origin)
	}
	if err != nil {
		return fmt.Errorf("%w: the head that it keeps cannot be read: %w", errWentBack, err)
	}
	if size, _ := n.Log.Position(); head.Size > size {
		return fmt.Errorf("%w (size %d, the log has %d entries)", errKeptUnknown, head.Size, size)
	}
	root, err := n.Log.RootAt(head.Size)
	switch {
	case err != nil:
		return err
	case root != head.Root:
		return fmt.Errorf("%w (size %d, of another history)", errKeptUnknown, head.Size)
	case head.Size < agreed:
		return fmt.Errorf("%w: it keeps the agreed head of size %d, the last one is of size %d", errWentBack, head.Size, agreed)
	}
	return nil
}

// sizeOf returns the size that a head names, 0 for none.
func sizeOf(note []byte) (int64, error) {
	if note == nil {
		return 0, nil
	}
	head, _, err := ledger.ParseHead(note)
	return head.Size, err
}

// resume puts in order what an earlier pass or process left: a receipt that a crash caught half-way into the outbox,
// old staging, a destination that is not as log and outbox say, and what was published for items that were withdrawn.
func (n *Night) resume(ctx context.Context) error {
	if err := n.Room(); err != nil {
		return err
	}
	place, err := n.openStore(ctx)
	if err != nil {
		return err
	}
	defer place.Close()
	if err := n.resolvePrepared(ctx, place); err != nil {
		return err
	}
	if err := n.renewForked(); err != nil {
		return err
	}
	if err := n.sweepOnce(ctx, place); err != nil {
		return err
	}
	if err = n.checkMarks(ctx, place); err == nil {
		err = n.checkPlace(ctx, place)
	}
	if errors.Is(err, errWentBack) || errors.Is(err, errMoved) {
		err = n.audit(ctx, place, err)
	}
	if err != nil {
		return err
	}
	if err := n.moveWithdrawn(ctx, place); err != nil {
		return err
	}
	return n.moveAltered(ctx, place)
}

// resolvePrepared ends the making of a receipt that a crash interrupted. If its hash stands beside the marker the
// receipt counts; otherwise it is forgotten, and what it was about is found by its hash again.
func (n *Night) resolvePrepared(ctx context.Context, place *dest.Place) error {
	n.receipts.Lock()
	defer n.receipts.Unlock()
	prepared, err := n.Log.Prepared()
	if err != nil || prepared == nil {
		return err
	}
	mark, err := place.ReadOwn(ctx, dest.LastDelivered)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return n.Log.ResolvePrepared(bytes.Equal(mark, formatMark(receiptHash(prepared))))
}

// sweepOnce deletes, once in the life of a process, what earlier ones left in staging.
func (n *Night) sweepOnce(ctx context.Context, place *dest.Place) error {
	n.mu.Lock()
	swept := n.swept
	n.mu.Unlock()
	if swept {
		return nil
	}
	if err := place.SweepStaging(ctx); err != nil {
		return n.atPlace(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.swept = true
	return nil
}

// openPlace opens the destination for a batch: the marker says that it is the place, what stands beside it that it
// did not go back.
func (n *Night) openPlace(ctx context.Context) (*dest.Place, error) {
	place, err := n.openStore(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.checkMarks(ctx, place); err != nil {
		return nil, errors.Join(err, place.Close())
	}
	return place, nil
}

// KeptHead returns the agreed head kept at the destination, nil where there is none, and whether that is known: false where
// it cannot be read now, or makes no sense.
func (n *Night) KeptHead(ctx context.Context) (head []byte, known bool) {
	place, err := n.Dest.Open(ctx)
	if err != nil {
		return nil, false
	}
	defer place.Close()
	kept, err := place.ReadOwn(ctx, dest.Head)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true
	}
	if err != nil {
		return nil, false
	}
	if h, _, err := ledger.ParseHead(kept); err != nil || string(h.Origin) != n.Dest.Origin() {
		return nil, false
	}
	return kept, true
}
