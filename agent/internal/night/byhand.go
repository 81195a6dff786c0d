package night

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/fetch"
	"github.com/wolkvox/backup/internal/ledger"
)

// Acts is told what a person does, before anything is signed; where it fails, nothing is signed. It may be called from several
// goroutines.
type Acts func(manifest int64, items ledger.Set) error

// ItemID is one item of a destination.
type ItemID struct{ Manifest, Index int64 }

// Chosen is a choice of items, per manifest.
type Chosen map[int64]ledger.Set

// Len returns how many items were chosen.
func (c Chosen) Len() (items int64) {
	for _, set := range c {
		items += set.Len()
	}
	return items
}

// byHand is what a pass does that a person asked for.
type byHand struct {
	chosen  Chosen
	states  []backup.State // of what is taken up
	brought string         // one of the Brought codes of package ledger
	acts    Acts
	// read writes the contents of an item, which a person has; nil where they come from the server. An error that is [ErrFile]
	// is about that file alone.
	read func(ctx context.Context, item ItemID, w io.Writer) error

	// Why items did not go through, in the words for people: how many for each reason, and of what a person has also which; guarded
	// by pass.mu.
	reasons map[string]int64
	met     map[ItemID]string
}

// ErrFile says that a file that a person has cannot be used.
var ErrFile = errors.New("the file cannot be used")

func (p *pass) carried() bool { return p.byHand != nil && p.byHand.read != nil }

// signs returns the states of items that this pass signs for.
func (p *pass) signs() []backup.State {
	if p.byHand != nil {
		return p.byHand.states
	}
	return []backup.State{backup.Pending, backup.Expired}
}

func (p *pass) brought() string {
	if p.byHand != nil {
		return p.byHand.brought
	}
	return ledger.BroughtAutomatic
}

// actsOn writes down what a person does, before it is signed.
func (p *pass) actsOn(manifest int64, items ledger.Set) error {
	if p.byHand == nil || p.byHand.acts == nil {
		return nil
	}
	return p.byHand.acts(manifest, items)
}

// metByHand takes note of why items did not go through. p.mu is held.
func (p *pass) metByHand(manifest int64, items ledger.Set, f fault.Fault) {
	if p.byHand == nil {
		return
	}
	p.byHand.reasons[f.Message] += items.Len()
	if !p.carried() {
		return
	}
	for index := range items.All() {
		p.byHand.met[ItemID{manifest, index}] = f.Message
	}
}

// chooseByHand returns what to take up next of what a person chose.
func (p *pass) chooseByHand() (work, error) {
	for _, manifest := range slices.Sorted(maps.Keys(p.byHand.chosen)) {
		// The outbox first: a receipt goes from there into the log.
		signed := p.night.Log.OutboxDelivered(manifest)
		states, err := p.night.Log.States(manifest)
		if err != nil {
			return work{}, err
		}
		wanted := states.Among(p.byHand.chosen[manifest], p.byHand.states...).Difference(signed)
		if w, err := p.collect(manifest, wanted, false); err != nil || !w.empty() {
			return w, err
		}
	}
	return work{}, nil
}

// ByHand is how something ended that a person asked for.
type ByHand struct {
	Confirmed Chosen            // items that the log says are at the destination, of those that were asked for
	Met       map[ItemID]string // of an import: why others are not, where there is a reason for each, in words for people
	Reasons   map[string]int64  // how often each fault was met, by its words for people
	Err       error             // why it ended early; nil where it did not
}

// do makes a pass over what a person chose, while no other pass runs, and returns when the log says what became of it, or when it
// is known why it does not.
func (n *Night) do(ctx context.Context, by *byHand) (ByHand, error) {
	by.met, by.reasons = make(map[ItemID]string), make(map[string]int64)
	var done ByHand
	err := n.between(ctx, func(ctx context.Context) error {
		p := newPass(n)
		p.forced, p.byHand = true, by
		done.Err = n.pass(ctx, p).Err
		p.mu.Lock()
		defer p.mu.Unlock()
		done.Met, done.Reasons = by.met, by.reasons
		return nil
	})
	if err != nil {
		return ByHand{}, err
	}
	done.Confirmed = make(Chosen)
	for manifest, items := range by.chosen {
		states, err := n.Log.States(manifest)
		if err != nil {
			return ByHand{}, err
		}
		done.Confirmed[manifest] = states.Among(items, backup.Confirmed)
	}
	return done, nil
}

// FetchExpired copies items that are expired, or pending, from the server as a night would, whatever the time of day.
func (n *Night) FetchExpired(ctx context.Context, chosen Chosen, acts Acts) (ByHand, error) {
	return n.do(ctx, &byHand{chosen: chosen, states: []backup.State{backup.Pending, backup.Expired}, brought: ledger.BroughtAutomatic, acts: acts})
}

// waivable are the states of items that a client declines by hand: what is pending is still tried.
var waivable = []backup.State{backup.Expired}

// Waive signs that the client declines expired items, for a reason that is one of the Waived codes of package ledger, and returns
// when the log says so, with those that are waived now and were not before.
func (n *Night) Waive(ctx context.Context, chosen Chosen, reason string, acts Acts) (Chosen, error) {
	waived := make(Chosen)
	err := n.between(ctx, func(ctx context.Context) error {
		for _, manifest := range slices.Sorted(maps.Keys(chosen)) {
			states, err := n.Log.States(manifest)
			if err != nil {
				return err
			}
			items := states.Among(chosen[manifest], waivable...).Difference(n.Log.OutboxDelivered(manifest))
			for part := range parts(items) {
				if err := acts(manifest, part); err != nil {
					return err
				}
				err := n.signAct(manifest, part, func(r ledger.Receipt) ledger.Body { return ledger.Waived{Receipt: r, Reason: reason} })
				if err != nil {
					return err
				}
			}
			waived[manifest] = items
		}
		if err := n.send(ctx); err != nil {
			return fmt.Errorf("what was declined is signed and is not in the log yet: %w", err)
		}
		if err := n.agree(ctx); err != nil {
			return err
		}
		return n.Agreed(ctx)
	})
	if err != nil {
		return nil, err
	}
	for manifest, items := range waived {
		states, err := n.Log.States(manifest)
		if err != nil {
			return nil, err
		}
		waived[manifest] = states.Among(items, backup.Waived)
	}
	return waived, nil
}

// ReadContents brings the contents of expired or pending items of a manifest from the server, in the order of their indexes, to
// what stage returns for each, beside a pass too; nothing is written at the destination and nothing is signed. done is told of
// each that came to an end. Items in other states are left out.
func (n *Night) ReadContents(ctx context.Context, manifest int64, items ledger.Set, stage func(fetch.Item) fetch.File, done func(fetch.Outcome)) error {
	if err := n.Session.WaitSynced(ctx, n.Patience); err != nil {
		return err
	}
	states, err := n.Log.States(manifest)
	if err != nil {
		return err
	}
	var wanted []fetch.Item
	err = n.eachItem(manifest, states.Among(items, backup.Pending, backup.Expired), func(l lookup) error {
		for i, index := range l.indexes {
			wanted = append(wanted, fetch.Item{Index: index, Path: l.names[i], Digest: l.wanted[i]})
		}
		return nil
	})
	if err != nil || len(wanted) == 0 {
		return err
	}
	fetcher := fetch.Fetcher{Session: n.Session, Streams: 1, Limiter: n.Limiter, Bytes: func(int) {}, Patience: 8}
	return fetcher.Fetch(ctx, manifest, wanted, func(_ context.Context, item fetch.Item) (fetch.File, error) { return stage(item), nil }, done)
}
