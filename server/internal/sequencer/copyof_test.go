package sequencer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
)

// copyOf is what an agent holds of the log.
type copyOf struct {
	leaves [][]byte
	lines  map[int64][]byte
	head   []byte
}

// hold copies the log as it is.
func (r *rig) hold() copyOf {
	r.t.Helper()
	log := r.seq.Ledger()
	size, _ := log.Position()
	c := copyOf{lines: map[int64][]byte{}}
	for leaf, err := range log.Entries(0, size) {
		r.must(err)
		c.leaves = append(c.leaves, leaf)
	}
	for n := int64(1); n <= r.seq.Last(); n++ {
		for lines, err := range log.RawLines(n, 0) {
			r.must(err)
			c.lines[n] = append(c.lines[n], lines...)
		}
	}
	var err error
	c.head, _, err = r.seq.Head()
	r.must(err)
	return c
}

// claim is the copy's own head.
func (c copyOf) claim(size int64) Claim {
	var tree ledger.Frontier
	for _, leaf := range c.leaves[:size] {
		tree.Add(ledger.LineHash(leaf))
	}
	return Claim{Size: size, Root: tree.Root(), Speaks: true}
}

func (c copyOf) all() Claim { return c.claim(int64(len(c.leaves))) }

// offer hands in the copy, as an agent with this claim.
func (r *rig) offer(c copyOf, claim Claim) (taken bool, err error) {
	r.t.Helper()
	o, err := r.seq.Offer(r.t.Context(), c.head, claim)
	if err != nil {
		return false, err
	}
	defer o.Close()
	probes := 0
	for size, more := o.Probe(); more; size, more = o.Probe() {
		if probes++; probes > 64 {
			r.t.Fatal("the search for the common entries does not end")
		}
		at := c.claim(size)
		r.must(o.Answer(at.Size, at.Root))
	}
	from, wanted, err := o.First()
	r.must(err)
	if wanted {
		if err := c.give(o, from); err != nil {
			return false, err
		}
	}
	return o.Take(r.t.Context(), start)
}

func (c copyOf) give(o *Offer, from int64) error {
	for i := from; i < int64(len(c.leaves)); i++ {
		if e, err := ledger.ParseEntry(c.leaves[i]); err == nil {
			if sealed, ok := e.Body.(ledger.Sealed); ok {
				if err := o.AddLines(sealed.Manifest, 0, c.lines[sealed.Manifest], true); err != nil {
					return err
				}
			}
		}
		if err := o.AddEntries(i, c.leaves[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// rollBack puts the log back to an earlier size, as a restored copy does. withRegistry puts back what else is known of it,
// so that nothing tells.
func (r *rig) rollBack(size int64, withRegistry bool) {
	r.t.Helper()
	r.must(r.seq.Ledger().Cut(r.t.Context(), size))
	if withRegistry {
		_, err := r.registry.UpdateRecovery(origin, func(rec *registry.Recovery) { *rec = registry.Recovery{Begun: size > 0} })
		r.must(err)
	}
	r.open()
}

func (r *rig) agree(c copyOf) []byte {
	r.t.Helper()
	note, err := ledger.Cosign(c.head, r.seq.ServerKey(), r.agent, start)
	r.must(err)
	return note
}

// compare is a watch by the agent that serves the destination, which keeps no head.
func (r *rig) compare(claim Claim) (recovering bool, err error) {
	return r.seq.Compare(r.t.Context(), claim, start)
}

// known says that the agent sees what is kept at the destination.
func known(c Claim, kept []byte) Claim {
	c.Kept, c.KeptKnown = kept, true
	return c
}

// equals fails where the log is not what the copy has, followed by entries of these kinds.
func (r *rig) equals(c copyOf, kinds ...ledger.Kind) {
	r.t.Helper()
	now := r.hold()
	if len(now.leaves) < len(c.leaves) || !slices.EqualFunc(now.leaves[:len(c.leaves)], c.leaves, bytes.Equal) {
		r.t.Fatalf("the log has %d entries, which are not the %d offered", len(now.leaves), len(c.leaves))
	}
	var more []ledger.Kind
	for _, leaf := range now.leaves[len(c.leaves):] {
		e, err := ledger.ParseEntry(leaf)
		r.must(err)
		more = append(more, e.Body.Kind())
	}
	if !slices.Equal(more, kinds) {
		r.t.Errorf("after what was offered come %v, want %v", more, kinds)
	}
	if report, err := r.seq.Ledger().Verify(r.t.Context()); err != nil || len(report.Problems) > 0 {
		r.t.Errorf("Verify: %v, %v", report.Problems, err)
	}
}

// evidences returns how many entries each evidence kept has.
func (r *rig) evidences() (entries []int) {
	r.t.Helper()
	found, err := filepath.Glob(filepath.Join(r.evidence, "acme", "nas", origin.LogID(), "*"))
	r.must(err)
	for _, dir := range found {
		file, err := os.Open(filepath.Join(dir, ledger.ExportedLedger))
		r.must(err)
		fold, n := ledger.NewFold(), 0
		for leaf, err := range ledger.ReadExported(file) {
			r.must(err)
			_, _, err = fold.Append(leaf)
			r.must(err)
			n++
		}
		r.must(file.Close())
		head, err := os.ReadFile(filepath.Join(dir, ledger.ExportedHead))
		r.must(err)
		h, err := ledger.OpenHead(head, r.seq.ServerKey())
		if err != nil || h.Size != int64(n) || h.Root != fold.Tree.Root() {
			r.t.Errorf("the head in %s is %v, %v", dir, h, err)
		}
		entries = append(entries, n)
	}
	return entries
}

func (r *rig) alarm(kind registry.AlarmKind) bool {
	r.t.Helper()
	_, err := r.registry.Alarm(origin, kind)
	if !errors.Is(err, registry.ErrNotFound) {
		r.must(err)
	}
	return err == nil
}

// catalogMade has the catalog made again.
func (r *rig) catalogMade() {
	r.t.Helper()
	called := false
	r.must(r.seq.RebuildCatalog(r.t.Context(), func(context.Context) error {
		called = true
		return nil
	}))
	if !called {
		r.t.Error("the catalog was not made again")
	}
}
