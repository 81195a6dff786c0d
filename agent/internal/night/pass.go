package night

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/fetch"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// pass is what one Run remembers.
type pass struct {
	night      *Night
	onlyClosed bool      // look for expired items of what was closed, and copy nothing
	forced     bool      // a person asked for it: what was to be left alone is tried
	until      time.Time // when no more is taken up; zero where there is no such time
	byItself   bool      // nobody asked for it, so that a pause ends it
	byHand     *byHand   // a person chose what to take up; nil where it is what is pending

	mu       sync.Mutex
	taken    map[int64]ledger.Set // per manifest, what this pass need not look at again
	tries    map[itemID]int       // how often contents came with a wrong digest
	awaited  map[int64]ledger.Set // what the server is about to withdraw
	faults   map[int64]faultSet   // what did not go through, per manifest
	inFlight int64                // bytes staged or about to be
	need     dest.Space           // what must be free for what was taken up last
	stored   int64                // items published
	bad      int64                // items that a failing disk spoiled
	held     bool                 // a pause was met
}

type itemID struct{ manifest, index int64 }

// faultSet holds the items of one manifest by fault.
type faultSet map[fault.Fault]ledger.Set

// work is a batch to be: items of one manifest.
type work struct {
	manifest int64
	items    []fetch.Item
	expired  bool // only look whether they are there already
}

func (w work) empty() bool { return len(w.items) == 0 }

func newPass(n *Night) *pass {
	return &pass{
		night: n, taken: make(map[int64]ledger.Set), tries: make(map[itemID]int),
		awaited: make(map[int64]ledger.Set), faults: make(map[int64]faultSet),
	}
}

// choose returns what to take up next: of what is pending, what expires first; then, where a manifest was closed
// since they were last looked at, expired items, which may be at the destination all the same. What met an error at the
// destination before comes after all else.
func (p *pass) choose() (work, error) {
	if p.byHand != nil {
		return p.chooseByHand()
	}
	if p.paused() {
		return work{}, nil
	}
	if !p.until.IsZero() && !p.night.Now().Before(p.until) {
		return work{}, nil
	}
	manifests, closed, err := p.night.manifests()
	if err != nil {
		return work{}, err
	}
	for _, suspected := range []bool{false, true} {
		if w, err := p.chooseOf(manifests, closed, suspected); err != nil || !w.empty() {
			return w, err
		}
	}
	p.night.lookedAt(closed)
	return work{}, nil
}

// chooseOf is choose among those that are suspected, or among all others.
func (p *pass) chooseOf(manifests []ledger.Manifest, closed map[int64]bool, suspected bool) (work, error) {
	for _, m := range manifests {
		state, expired := backup.Pending, false
		if m.Open && p.onlyClosed {
			continue
		}
		if !m.Open {
			if !closed[m.Number] {
				continue
			}
			state, expired = backup.Expired, true
		}
		// The outbox first: a receipt goes from there into the log.
		signed := p.night.Log.OutboxDelivered(m.Number)
		items, err := p.night.Log.Items(m.Number, state)
		if err != nil {
			return work{}, err
		}
		suspects := p.night.suspected(m.Number)
		if suspected {
			items = items.Intersect(suspects)
		} else {
			items = items.Difference(suspects)
		}
		if w, err := p.collect(m.Number, items.Difference(signed), expired); err != nil || !w.empty() {
			return w, err
		}
	}
	return work{}, nil
}

// collect reads the lines of the first wanted items that make a batch.
func (p *pass) collect(manifest int64, wanted ledger.Set, expired bool) (work, error) {
	n := p.night
	p.mu.Lock()
	wanted = wanted.Difference(p.taken[manifest])
	p.mu.Unlock()
	w := work{manifest: manifest, expired: expired}
	if wanted.IsEmpty() {
		return w, nil
	}
	var sizeBytes int64
	var took []ledger.Range
	index := wanted.Ranges()[0].First
	for line, err := range n.Log.Lines(manifest, index) {
		if err != nil {
			return work{}, err
		}
		if wanted.Contains(index) {
			if line.Forgotten {
				took = append(took, ledger.Range{First: index, Last: index})
			} else {
				if len(w.items) == batchItems {
					break
				}
				sizeBytes += line.Item.Digest.SizeBytes
				took = append(took, ledger.Range{First: index, Last: index})
				w.items = append(w.items, fetch.Item{Index: index, Path: line.Item.Path, Digest: line.Item.Digest, Kind: line.Item.Kind})
			}
		}
		if index++; index > wanted.Max() {
			break
		}
	}
	p.mu.Lock()
	p.taken[manifest] = p.taken[manifest].Union(ledger.NewSet(took...))
	p.mu.Unlock()
	if !expired {
		n.count(func(c *Progress) { c.WantedItems += int64(len(w.items)); c.WantedBytes += sizeBytes })
	}
	return w, nil
}

// manifests returns those with something to do, the earliest deadline first, and which of them were closed and not
// looked at since.
func (n *Night) manifests() (todo []ledger.Manifest, closed map[int64]bool, err error) {
	if closed, err = n.closedUnseen(); err != nil {
		return nil, nil, err
	}
	var all []ledger.Manifest
	n.Log.View(func(log *ledger.Log) { all = slices.Clone(log.Manifests) })
	for _, m := range all {
		counts, err := n.Log.Counts(m.Number)
		if err != nil {
			return nil, nil, err
		}
		if counts[backup.Pending] > 0 || (closed[m.Number] && counts[backup.Expired] > 0) {
			todo = append(todo, m)
		}
	}
	slices.SortFunc(todo, func(a, b ledger.Manifest) int {
		return cmp.Or(boolOrder(b.Open, a.Open), a.Deadline.Compare(b.Deadline), cmp.Compare(a.Number, b.Number))
	})
	return todo, closed, nil
}

// closedUnseen returns the manifests that a `closed` is about and whose expired items were not looked for since, in this
// process.
func (n *Night) closedUnseen() (map[int64]bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.scan(); err != nil {
		return nil, err
	}
	return maps.Clone(n.closed), nil
}

// scan looks through the entries that were not looked at since the process started. n.mu is held.
func (n *Night) scan() error {
	size, _ := n.Log.Position()
	for leaf, err := range n.Log.Entries(n.scanned, size) {
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(leaf, []byte("wolkvox-backup entry closed ")) && !bytes.HasPrefix(leaf, []byte("wolkvox-backup entry withdrawn ")) &&
			!bytes.HasPrefix(leaf, []byte("wolkvox-backup entry lost ")) {
			continue
		}
		entry, err := ledger.ParseEntry(leaf)
		if err != nil {
			return err
		}
		switch body := entry.Body.(type) {
		case ledger.Closed:
			n.closed[body.Manifest] = true
		case ledger.Withdrawn:
			n.withdrawn[body.Manifest] = n.withdrawn[body.Manifest].Union(body.Indexes)
		case ledger.Lost:
			if body.Finding == ledger.LostAltered {
				n.altered[body.Manifest] = n.altered[body.Manifest].Union(body.Indexes)
			}
		}
	}
	n.scanned = size
	return nil
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// lookedAt remembers that expired items of these manifests were looked for.
func (n *Night) lookedAt(closed map[int64]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for manifest := range closed {
		delete(n.closed, manifest)
	}
}

// maxDigestTries is how often contents are fetched again that came with a wrong digest while the server's source
// was right.
const maxDigestTries = 3

// received takes note of an item that the fetch ended for without staging it.
func (p *pass) received(manifest int64, outcome fetch.Outcome) {
	item := ledger.NewSet(ledger.Range{First: outcome.Item.Index, Last: outcome.Item.Index})
	id := itemID{manifest, outcome.Item.Index}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case outcome.Unavailable == uplink.NotPending:
	case outcome.Unavailable == uplink.SourceChanged:
		p.awaited[manifest] = p.awaited[manifest].Union(item)
	case outcome.Unavailable != uplink.Available:
		p.addFault(manifest, item, p.night.Faults.SourceUnreadable())
	case p.tries[id]+1 < maxDigestTries:
		p.tries[id]++
		p.taken[manifest] = p.taken[manifest].Difference(item)
		p.addFault(manifest, item, p.night.Faults.DigestMismatch())
	default:
		p.awaited[manifest] = p.awaited[manifest].Union(item)
		p.addFault(manifest, item, p.night.Faults.DigestMismatch())
	}
}

// addFault is called with p.mu held.
func (p *pass) addFault(manifest int64, items ledger.Set, f fault.Fault) {
	if p.faults[manifest] == nil {
		p.faults[manifest] = make(faultSet)
	}
	p.faults[manifest][f] = p.faults[manifest][f].Union(items)
	p.metByHand(manifest, items, f)
}

// reportFaults is how many faults one report carries.
const reportFaults = 500

// report keeps the faults met so far and tells the server. That it cannot be told is no further fault.
func (p *pass) report(ctx context.Context) error {
	n := p.night
	p.mu.Lock()
	met := p.faults
	p.faults = make(map[int64]faultSet)
	p.mu.Unlock()
	var report []uplink.ItemFault
	for manifest, faults := range met {
		for f, items := range faults {
			kept := store.Fault{Class: f.Class, Party: f.Party, Code: f.Code, Message: f.Message, Last: n.Now().UTC(), Attempts: 1}
			if err := n.Log.PutFault(manifest, items, kept); err != nil {
				return err
			}
			report = append(report, uplink.ItemFault{Manifest: manifest, Items: items, Fault: kept, DigestMismatch: f.IsDigestMismatch()})
			n.count(func(c *Progress) { c.FaultItems += items.Len() })
		}
	}
	for part := range slices.Chunk(report, reportFaults) {
		if err := n.Session.ReportFaults(ctx, part); err != nil {
			n.logWarn(ctx, "faults not reported", err)
			break
		}
	}
	return nil
}

// awaitChange waits for a short while where the server is about to withdraw something, so that a replacement still
// comes in the same pass. It reports whether to choose again.
func (p *pass) awaitChange(ctx context.Context) (bool, error) {
	n := p.night
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	for {
		changed := n.Log.Changed()
		again, waiting, err := p.stillAwaited()
		if err != nil || again || !waiting {
			return again, err
		}
		select {
		case <-changed:
		case <-timeout.C:
			p.giveUpAwaited()
			return false, p.report(ctx)
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// giveUpAwaited says of everything that is still awaited why it is pending.
func (p *pass) giveUpAwaited() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for manifest, items := range p.awaited {
		p.addFault(manifest, items, p.night.Faults.SourceChanged())
	}
	clear(p.awaited)
}

// stillAwaited drops from what is awaited whatever is not pending any more, or may be fetched again; again says that
// there was such.
func (p *pass) stillAwaited() (again, waiting bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for manifest, items := range p.awaited {
		pending, err := p.night.Log.Items(manifest, backup.Pending)
		if err != nil {
			return false, false, err
		}
		rest := items.Intersect(pending).Intersect(p.taken[manifest])
		again = again || rest.Len() < items.Len()
		if rest.IsEmpty() {
			delete(p.awaited, manifest)
		} else {
			p.awaited[manifest] = rest
			waiting = true
		}
	}
	return again, waiting, nil
}

// leftOver says why items are still pending after a pass that did all it could.
func (p *pass) leftOver(pending int64) error {
	if pending == 0 || p.onlyClosed || p.byHand != nil {
		return nil
	}
	if p.paused() {
		return fmt.Errorf("%w: %d recordings are pending", ErrPaused, pending)
	}
	if !p.until.IsZero() && !p.night.Now().Before(p.until) {
		return fmt.Errorf("the nightly window closed with %d recordings pending; the next one goes on", pending)
	}
	return fmt.Errorf("%d recordings are still pending; the last fault says why", pending)
}
