package night

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
)

// errNotSent says that receipts wait in the outbox because the server cannot be reached now.
var errNotSent = errors.New("receipts wait to be sent to the server")

// errForked says that receipts forked and are not signed anew yet: nothing else is signed meanwhile.
var errForked = errors.New("this agent's state went back in time, and its receipts are not signed anew yet")

// signDelivered signs that items are at the destination, if what stands beside the marker is as log and outbox say. The
// receipt's hash stands there before the receipt enters the outbox; a receipt that a crash left in between is resolved by
// [Night.resume]. brought is one of the Brought codes of package ledger.
func (n *Night) signDelivered(ctx context.Context, place *dest.Place, manifest int64, items ledger.Set, method backup.Method, brought string) error {
	n.receipts.Lock()
	defer n.receipts.Unlock()
	if n.forked {
		return errForked
	}
	if err := n.checkMarksLocked(ctx, place); err != nil {
		return err
	}
	leaf, err := n.Log.EnqueueDelivered(
		func(number int64, previous tlog.Hash) ([]byte, error) {
			receipt, err := n.receipt(manifest, items, number, previous)
			if err != nil {
				return nil, err
			}
			return n.sign(ledger.Delivered{Receipt: receipt, Method: method, Brought: brought})
		},
		func(leaf []byte) error {
			return n.atPlace(place.WriteOwn(ctx, dest.LastDelivered, formatMark(receiptHash(leaf))))
		})
	if err != nil {
		return fmt.Errorf("sign for manifest %d: %w", manifest, err)
	}
	n.marks.last, n.marks.any = receiptHash(leaf), true
	return nil
}

// signLost signs that an audit found items missing or altered.
func (n *Night) signLost(manifest int64, items ledger.Set, finding string) error {
	return n.signAct(manifest, items, func(r ledger.Receipt) ledger.Body { return ledger.Lost{Receipt: r, Finding: finding} })
}

// signAct signs a receipt that says nothing of what is at the destination beyond its own words, and puts it into the outbox.
// body is called with what all receipts have. items fit into one receipt (see parts).
func (n *Night) signAct(manifest int64, items ledger.Set, body func(ledger.Receipt) ledger.Body) error {
	n.receipts.Lock()
	defer n.receipts.Unlock()
	var kind ledger.Kind
	_, err := n.Log.Enqueue(func(number int64, previous tlog.Hash) ([]byte, error) {
		receipt, err := n.receipt(manifest, items, number, previous)
		if err != nil {
			return nil, err
		}
		act := body(receipt)
		kind = act.Kind()
		return n.sign(act)
	})
	if err != nil {
		return fmt.Errorf("sign %s for manifest %d: %w", kind, manifest, err)
	}
	return nil
}

func (n *Night) receipt(manifest int64, items ledger.Set, number int64, previous tlog.Hash) (ledger.Receipt, error) {
	var root tlog.Hash
	var ok bool
	n.Log.View(func(log *ledger.Log) {
		var m ledger.Manifest
		m, ok = log.Manifest(manifest)
		root = m.Root
	})
	if !ok {
		return ledger.Receipt{}, fmt.Errorf("manifest %d is not sealed", manifest)
	}
	return ledger.Receipt{Manifest: manifest, Root: root, Number: number, Previous: previous, Indexes: items}, nil
}

func (n *Night) sign(body ledger.Body) ([]byte, error) {
	at, ok := n.Client.Clock.Now()
	if !ok {
		return nil, errors.New("the server's time is not known yet")
	}
	return ledger.Sign(ledger.Entry{Origin: n.Log.Origin(), Time: at.Truncate(time.Second), Body: body}, n.Key)
}

// submit sends what waits and acts on the verdict. errNotSent says that it could not be sent now.
func (n *Night) submit(ctx context.Context) error {
	verdict, refused, err := n.Session.Submit(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	switch verdict {
	case uplink.VerdictOK:
		return nil
	case uplink.VerdictGap:
		n.Session.Resync()
		return fmt.Errorf("%w: the server lacks earlier receipts; heads are compared again", errNotSent)
	case uplink.VerdictFork:
		return n.fork(ctx)
	case uplink.VerdictBadRoot:
		if n.holds(refused[0]) { // a server that went back in time, and was not shown yet what it lacks
			n.Session.Resync()
			return fmt.Errorf("%w: the server lacks a manifest that it has sealed; heads are compared again", errNotSent)
		}
	}
	return n.drop(verdict, refused[0])
}

// holds reports whether this agent's own log has the manifest that a receipt is about.
func (n *Night) holds(leaf []byte) (held bool) {
	e, err := ledger.ParseEntry(leaf)
	if err != nil {
		return false
	}
	receipt, ok := ledger.ReceiptOf(e.Body)
	n.Log.View(func(log *ledger.Log) {
		m, sealed := log.Manifest(receipt.Manifest)
		held = ok && sealed && m.Root == receipt.Root
	})
	return held
}

// fork acts on the word that this agent went back in time: what it says was delivered is found by its hash again,
// everything else is signed anew once heads were compared.
func (n *Night) fork(ctx context.Context) error {
	n.receipts.Lock()
	n.forked = true
	n.receipts.Unlock()
	n.Session.Resync()
	if err := n.Session.WaitSynced(ctx, n.Patience); err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	if err := n.renewForked(); err != nil {
		return err
	}
	return errors.New("this agent's state went back in time; what is at the destination is compared again")
}

// renewForked ends a fork, once heads were compared since.
func (n *Night) renewForked() error {
	n.receipts.Lock()
	defer n.receipts.Unlock()
	if !n.forked {
		return nil
	}
	if err := n.renew(func(leaf []byte, e ledger.Entry) bool { return e.Body.Kind() != ledger.KindDelivered }); err != nil {
		return fmt.Errorf("sign again after a fork: %w", err)
	}
	n.forked = false
	return nil
}

// drop acts on the word that a receipt will never be in the log: it is removed, and what follows it is signed again.
func (n *Night) drop(verdict uplink.Verdict, refused []byte) error {
	n.receipts.Lock()
	defer n.receipts.Unlock()
	err := n.renew(func(leaf []byte, _ ledger.Entry) bool {
		return verdict != uplink.VerdictNotAssigned && !bytes.Equal(leaf, refused)
	})
	if err != nil {
		return fmt.Errorf("remove a receipt that the server refused: %w", err)
	}
	n.Session.Resync()
	return fmt.Errorf("the server refused a receipt of destination %s for good (%s): what it says is found out again", n.Name, verdict)
}

// renew signs again, under new numbers, the receipts that are to be kept, and removes the others. It is called with
// n.receipts held.
func (n *Night) renew(keep func(leaf []byte, e ledger.Entry) bool) error {
	n.marks = marks{}
	return n.Log.RenewOutbox(func(old []byte, number int64, previous tlog.Hash) ([]byte, error) {
		entry, err := ledger.ParseEntry(old)
		if err != nil || !keep(old, entry) {
			return nil, err
		}
		return n.sign(renumbered(entry.Body, number, previous))
	})
}

// renumbered returns a receipt's body under a new number.
func renumbered(body ledger.Body, number int64, previous tlog.Hash) ledger.Body {
	switch b := body.(type) {
	case ledger.Delivered:
		b.Number, b.Previous = number, previous
		return b
	case ledger.Lost:
		b.Number, b.Previous = number, previous
		return b
	case ledger.Waived:
		b.Number, b.Previous = number, previous
		return b
	case ledger.Released:
		b.Number, b.Previous = number, previous
		return b
	case ledger.Erased:
		b.Number, b.Previous = number, previous
		return b
	}
	return body
}

// deliver sends what waits, if the destination is still what log and outbox say, and returns when this agent's own log
// holds it.
func (n *Night) deliver(ctx context.Context) error {
	if n.Log.OutboxLen() == 0 {
		return nil
	}
	place, err := n.openPlace(ctx)
	if err != nil {
		return fmt.Errorf("%d receipts wait: %w", n.Log.OutboxLen(), err)
	}
	if err := place.Close(); err != nil {
		return err
	}
	return n.send(ctx)
}

// send sends what waits and returns when this agent's own log holds it.
func (n *Night) send(ctx context.Context) error {
	timeout := time.NewTimer(n.Patience)
	defer timeout.Stop()
	retry := time.NewTicker(2 * time.Second)
	defer retry.Stop()
	sent := n.submit(ctx)
	for {
		changed := n.Log.Changed()
		waiting := n.Log.OutboxLen()
		switch {
		case sent != nil && !errors.Is(sent, errNotSent):
			return sent
		case waiting == 0:
			return nil
		}
		select {
		case <-changed:
		case <-retry.C:
			if sent != nil {
				sent = n.submit(ctx)
			}
		case <-timeout.C:
			return errors.Join(fmt.Errorf("%d receipts are not in the log yet", waiting), sent)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
