package night

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/ledger"
)

// agree cosigns the latest head of the log, if the log here leads to it, this agent is the one assigned in it, and it is proved
// consistent with the last one cosigned and with the head kept at the destination. It is written there before it is recorded
// as agreed.
func (n *Night) agree(ctx context.Context) error {
	head := n.Log.Head()
	if head == nil {
		return nil
	}
	latest, _, err := ledger.ParseHead(head)
	if err != nil {
		return err
	}
	if err := n.consistent("the head that the server signed", head, latest); err != nil {
		return err
	}
	if err := n.consistent("the last agreed head", n.Log.Agreed(), latest); err != nil {
		return err
	}
	// The log may have grown since the pass began, and the head with it: another agent may be assigned by now.
	if err := n.checkAssigned(); err != nil && !errors.Is(err, ErrEnded) {
		return err
	}
	if agreed := n.Log.Agreed(); agreed != nil {
		if ours, _, err := ledger.ParseHead(agreed); err != nil || ours.Size == latest.Size {
			return err
		}
	}
	open := n.openPlace
	if n.retired() { // which receipt was the last one does not matter any more
		open = n.openStore
	}
	place, err := open(ctx)
	if err != nil {
		return err
	}
	defer place.Close()
	kept, err := place.ReadOwn(ctx, dest.Head)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return n.atPlace(err)
	}
	if err := n.consistent("the head kept at the destination", kept, latest); err != nil {
		n.Session.Resync() // the destination came back after heads were compared: the server has to see what it keeps
		return err
	}
	at, ok := n.Client.Clock.Now()
	if !ok {
		return errors.New("cosign the head: the server's time is not known yet")
	}
	var server ledger.Verifier
	n.Log.View(func(log *ledger.Log) { server = log.ServerKey })
	agreed, err := ledger.Cosign(head, server, n.Key, at)
	if err != nil {
		return fmt.Errorf("cosign the head of size %d: %w", latest.Size, err)
	}
	if err := place.WriteOwn(ctx, dest.Head, agreed); err != nil {
		return n.atPlace(err)
	}
	if err := n.Log.PutAgreed(agreed); err != nil {
		return err
	}
	n.tellAgreed()
	return nil
}

// consistent makes sure that an earlier head is of the history that leads to latest.
func (n *Night) consistent(what string, earlier []byte, latest ledger.Head) error {
	if earlier == nil {
		return nil
	}
	head, _, err := ledger.ParseHead(earlier)
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", what, err)
	}
	if head.Origin != latest.Origin || head.Size > latest.Size {
		return fmt.Errorf("%s (size %d) is not of the log that the server signed (size %d); nothing is signed", what, head.Size, latest.Size)
	}
	root, err := n.Log.RootAt(head.Size)
	if err != nil {
		return err
	}
	if root != head.Root {
		return fmt.Errorf("%s (size %d) is of another history than the log; nothing is signed", what, head.Size)
	}
	return nil
}
