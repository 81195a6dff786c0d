package night

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/wolkvox/backup/internal/ledger"
)

// ErrEnded says that the destination was retired: nothing is copied to it any more. Its last head is still agreed on.
var ErrEnded = errors.New("it has ended")

// checkAssigned makes sure that this agent works only for the log that it was enrolled for, while its key is the one last
// assigned in its own copy, and the destination has not ended ([ErrEnded]).
func (n *Night) checkAssigned() error {
	known, err := n.knowsServer()
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("the log of destination %s is not signed by the key that this agent was enrolled with (fingerprint %s): nothing is signed; call wolkvox", n.Name, n.ServerKey.Fingerprint())
	}
	return n.standing()
}

// standing says by the log alone why this agent does not work: another one serves the destination, or it has ended.
func (n *Night) standing() (err error) {
	n.Log.View(func(log *ledger.Log) {
		switch {
		case log.AgentKey != n.Key.Verifier():
			err = fmt.Errorf("another agent serves destination %s now (%s); this one stands back", n.Name, log.AgentKey.Name())
		case log.Retired:
			err = fmt.Errorf("destination %s: %w; what is there stays there, and its ledger can still be read and proved", n.Name, ErrEnded)
		}
	})
	return err
}

func (n *Night) retired() (retired bool) {
	n.Log.View(func(log *ledger.Log) { retired = log.Retired })
	return retired
}

// knowsServer reports whether the server's key that this agent was enrolled with is, or was, the log's own: whoever named the
// next one signed it with the one before, and the log here holds nothing else.
func (n *Night) knowsServer() (known bool, err error) {
	n.Log.View(func(log *ledger.Log) {
		known = log.ServerKey == n.ServerKey || log.Genesis.ServerKey == n.ServerKey
	})
	n.mu.Lock()
	known = known || n.knownServer
	n.mu.Unlock()
	if known {
		return true, nil
	}
	size, _ := n.Log.Position()
	for leaf, err := range n.Log.Entries(0, size) {
		if err != nil {
			return false, err
		}
		if !bytes.HasPrefix(leaf, []byte("wolkvox-backup entry rekeyed ")) {
			continue
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return false, err
		}
		if body, ok := e.Body.(ledger.Rekeyed); ok && body.NewKey == n.ServerKey {
			n.mu.Lock()
			n.knownServer = true
			n.mu.Unlock()
			return true, nil
		}
	}
	return false, nil
}

// conclude does what is left to do for a destination that has ended: receipts that wait can never be in the log and are
// dropped, and the last head is agreed on. It may be repeated.
func (n *Night) conclude(ctx context.Context) error {
	if err := n.dropWaiting(ctx); err != nil {
		return fmt.Errorf("drop the receipts of a destination that has ended: %w", err)
	}
	if err := n.agree(ctx); err != nil {
		return err
	}
	return n.Agreed(ctx)
}

func (n *Night) dropWaiting(ctx context.Context) error {
	n.receipts.Lock()
	defer n.receipts.Unlock()
	if prepared, err := n.Log.Prepared(); err != nil {
		return err
	} else if prepared != nil {
		if err := n.Log.ResolvePrepared(false); err != nil {
			return err
		}
	}
	waiting := n.Log.OutboxLen()
	if waiting == 0 {
		return nil
	}
	n.Slog.LogAttrs(ctx, slog.LevelWarn, "receipts dropped, because the destination has ended", slog.Int("receipts", waiting))
	n.marks = marks{}
	return n.Log.DropOutbox()
}
