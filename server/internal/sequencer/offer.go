package sequencer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/registry"
)

var (
	// ErrBadOffer says that what was offered does not lead to a head that this server signed, or ends before one that it
	// would have to contain.
	ErrBadOffer = errors.New("the offer was not taken")
	// ErrOffering says that another offer for the log is being taken in, or that the sealer is at work: try again later.
	ErrOffering = errors.New("the log is busy with another offer")
)

// Offer is a tail of the log that an agent hands in. It is for one goroutine, which asks the caller for [Offer.Probe] until
// there is none, for what follows [Offer.First], and calls [Offer.Take], and at last [Offer.Close].
type Offer struct {
	s        *Sequencer
	claim    Claim
	note     []byte // the head, signed
	head     ledger.Head
	known    bool      // the log contains the head: there is nothing to take
	low      int64     // the logs are equal up to here
	high     int64     // and not beyond here
	answered bool      // some probe was
	incoming *incoming // nil before low is known to be where they part
}

// Offer opens an offer of the log up to a head. claim.Size and claim.Root are not looked at. At a time one offer is taken in;
// for others the error is [ErrOffering]. A head that the server did not sign is [ErrBadOffer]; for other errors see
// [Sequencer.Compare].
func (s *Sequencer) Offer(ctx context.Context, note []byte, claim Claim) (*Offer, error) {
	head, _, err := ledger.ParseHead(note)
	if err == nil {
		err = s.signed(note)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: its head: %w", ErrBadOffer, err)
	}
	if !s.offering.TryLock() {
		return nil, fmt.Errorf("the log %s: %w", s.Origin(), ErrOffering)
	}
	claim.Size, claim.Root = head.Size, head.Root
	o := &Offer{s: s, claim: claim, note: note, head: head}
	if err := o.open(ctx); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

func (o *Offer) open(ctx context.Context) error {
	s := o.s
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.stopped(); errors.Is(err, ErrFork) {
		return err
	}
	if _, err := s.keptLost(ctx, o.claim.Kept); err != nil {
		return err
	}
	err := s.contains(o.head.Size, o.head.Root)
	if o.known = err == nil; !errors.Is(err, ErrOfferWanted) {
		return err
	}
	size, _ := s.log.Position()
	o.high = min(size, o.head.Size)
	return s.want(ctx, o.note)
}

// Close ends the offer and removes what was taken in of it.
func (o *Offer) Close() {
	if o.incoming != nil {
		o.incoming.remove()
	}
	o.s.offering.Unlock()
}

// Probe returns a size at which the caller's root has to be known, to be given to [Offer.Answer]; false where it is known
// where the logs part, or where there is nothing to take.
func (o *Offer) Probe() (size int64, more bool) {
	if o.known || o.low >= o.high {
		return 0, false
	}
	if !o.answered {
		return o.high, true // most often the server's log is just shorter
	}
	return o.low + (o.high-o.low+1)/2, true
}

// Answer takes the caller's position at the size of [Offer.Probe]. An answer that fits no log is [ErrBadOffer].
func (o *Offer) Answer(size int64, root tlog.Hash) error {
	asked, more := o.Probe()
	if !more || size != asked {
		return fmt.Errorf("%w: it answers for %d entries when asked for %d", ErrBadOffer, size, asked)
	}
	ours, err := o.s.log.RootAt(size)
	if err != nil {
		return err
	}
	o.answered = true
	if ours == root {
		o.low = size
	} else {
		o.high = size - 1
	}
	return nil
}

// First returns the index of the first entry that is wanted; false where there is nothing to take. Everything from there on
// is to be given to [Offer.AddLines] and [Offer.AddEntries].
func (o *Offer) First() (index int64, wanted bool, err error) {
	if o.known {
		return 0, false, nil
	}
	if o.incoming == nil {
		if o.incoming, err = o.s.takeIn(o.low, o.head); err != nil {
			return 0, false, err
		}
	}
	return o.low, true, nil
}

// AddLines takes lines of a manifest whose sealed is still to come, from line start on, each with its LF; last says that
// there are no more. What is wrong with them is [ErrBadOffer].
func (o *Offer) AddLines(manifest, start int64, lines []byte, last bool) error {
	return o.incoming.addLines(manifest, start, lines, last)
}

// AddEntries takes entries, the first of which follows after entries of the log. What is wrong with them is [ErrBadOffer].
func (o *Offer) AddEntries(after int64, leaves [][]byte) error {
	return o.incoming.addEntries(after, leaves)
}

// Take ends the offer: where all that came leads to the head, it becomes the end of the log, in the place of entries that no
// agent ever held, of which evidence is kept first. taken is false where the log contained the head already. Errors are
// [ErrBadOffer], [ErrFork] where an agent holds what would be replaced, [ErrTailLost] where the log lacks the head kept at the
// caller's destination even so, and [ErrOffering]. A crash leaves a log that recovers: the offer comes again.
func (o *Offer) Take(ctx context.Context, at time.Time) (taken bool, err error) {
	s := o.s
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.stopped(); errors.Is(err, ErrFork) {
		return false, err
	}
	if !o.known {
		if err := o.incoming.complete(s.signer); err != nil {
			return false, err
		}
		if err := o.judge(ctx, at); err != nil {
			return false, err
		}
		if err := o.replace(ctx, at); err != nil {
			return false, err
		}
	}
	keptLost, err := s.keptLost(ctx, o.claim.Kept)
	if err != nil {
		return !o.known, err
	}
	// That the log stops recovering is for the next comparison to say.
	_, err = s.afterContained(ctx, Claim{Size: o.head.Size, Kept: o.claim.Kept}, keptLost, at)
	return !o.known, err
}

// judge refuses an offer that would make the log forget what it must not.
func (o *Offer) judge(ctx context.Context, at time.Time) error {
	s := o.s
	rec, err := s.record()
	if err != nil {
		return err
	}
	size, _ := s.log.Position()
	if size > o.low && rec.HeldSize > o.low {
		ours, _, err := s.Head()
		if err != nil {
			return err
		}
		return s.fork(ctx, at, ours, o.note)
	}
	var beyond [][]byte
	for _, note := range wanted(rec) {
		w, _, err := ledger.ParseHead(note)
		if err != nil {
			return err
		}
		if w.Size > o.head.Size {
			beyond = append(beyond, note)
			continue
		}
		if root, err := o.rootAt(w.Size); err != nil {
			return err
		} else if root != w.Root {
			return s.fork(ctx, at, note, o.note)
		}
	}
	if len(beyond) == 0 {
		return nil
	}
	err = fmt.Errorf("%w: it ends after %d entries, but the server signed %s", ErrBadOffer, o.head.Size, sizes(beyond))
	if keptKnown := o.claim.KeptKnown || len(o.claim.Kept) > 0; keptKnown && o.claim.Speaks {
		if lost := s.tailLost(ctx, at, beyond...); !errors.Is(lost, ErrTailLost) {
			return lost
		}
	}
	return err
}

// rootAt returns the root of the offered log at a size of it.
func (o *Offer) rootAt(size int64) (tlog.Hash, error) {
	if size <= o.low {
		return o.s.log.RootAt(size)
	}
	return o.incoming.rootAt(size)
}

// replace cuts the log back to where the two part and appends what came. s.writing is held.
func (o *Offer) replace(ctx context.Context, at time.Time) error {
	s := o.s
	size, _ := s.log.Position()
	acts, err := s.acts(o.low, size)
	if err != nil {
		return err
	}
	if size > o.low {
		if err := s.keepEvidence(ctx, size-o.low, at); err != nil {
			return err
		}
	}
	err = s.update(func(rec *registry.Recovery) {
		rec.Recovering, rec.CatalogStale = true, true
		for _, act := range acts {
			if !slices.ContainsFunc(rec.Acts, func(known []byte) bool { return bytes.Equal(known, act) }) {
				rec.Acts = append(rec.Acts, act)
			}
		}
	})
	if err != nil {
		return err
	}
	if err := s.countsDiffer(ctx, o.incoming.alarms, at); err != nil { // before, so that no crash keeps it from being said
		return err
	}
	s.replaced.Add(1)
	err = s.log.Cut(ctx, o.low)
	s.forget()
	if errors.Is(err, store.ErrStaging) {
		return fmt.Errorf("%w: %w", ErrOffering, err)
	}
	if err != nil {
		return err
	}
	if err := o.incoming.appendTo(s.log); err != nil {
		return err
	}
	note, _, err := s.HeadAt(o.head.Size)
	if err != nil {
		return err
	}
	return s.update(func(rec *registry.Recovery) {
		rec.Begun, rec.HeldSize = true, o.head.Size
		if last, _, err := ledger.ParseHead(rec.LastHead); err != nil || last.Size < o.head.Size {
			rec.LastHead = note
		}
	})
}

// forget lets go of what was remembered of the log's end.
func (s *Sequencer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head, s.headSize, s.heard, s.history = nil, 0, hearing{}, history{}
	clear(s.overdue)
}

// Replaced returns how often the log's end was replaced since it was opened: whoever sent entries before compares heads
// again.
func (s *Sequencer) Replaced() int64 { return s.replaced.Load() }

// offerPrefix begins the names of folders with what is being taken in.
const offerPrefix = "offer-"

// clearOffers removes what an earlier process left in the directory of offers.
func clearOffers(dir string) error {
	if dir == "" {
		return nil
	}
	left, err := filepath.Glob(filepath.Join(dir, offerPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		return fmt.Errorf("remove what is left of earlier offers: %w", err)
	}
	return nil
}
