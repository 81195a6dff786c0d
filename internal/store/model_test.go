package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// model is what a store should hold: the author's fold, and the receipts that wait.
type model struct {
	*author
	random  *rand.Rand
	waiting [][]byte
}

func (m *model) manifest() (n, items int64) {
	n = 1 + m.random.Int64N(int64(len(m.fold.Manifests)))
	return n, m.fold.Manifests[n-1].Items
}

// set returns a set of 1 to 5 ranges below items.
func (m *model) set(items int64) ledger.Set {
	var ranges []ledger.Range
	for range 1 + m.random.IntN(5) {
		first := m.random.Int64N(items)
		ranges = append(ranges, ledger.Range{First: first, Last: min(items-1, first+m.random.Int64N(items/4+1))})
	}
	return ledger.NewSet(ranges...)
}

// body returns an entry that may come next.
func (m *model) body() ledger.Body {
	n, items := m.manifest()
	root, set := m.root(n), m.set(items)
	switch m.random.IntN(11) {
	case 0, 1, 2:
		return m.delivered(n, set)
	case 3:
		return ledger.Lost{Receipt: m.receipt(n, set), Finding: ledger.LostMissing}
	case 4:
		return ledger.Waived{Receipt: m.receipt(n, set), Reason: ledger.WaivedDeclined}
	case 5:
		return ledger.Released{Receipt: m.receipt(n, set), Reason: ledger.ReleasedRetention}
	case 6:
		return ledger.Erased{Receipt: m.receipt(n, set), Outcome: ledger.ErasedDeleted}
	case 7:
		return ledger.Closed{Manifest: n, Root: root, Counts: m.closedCounts(n)}
	case 8:
		deadline := m.fold.Manifests[n-1].Deadline.Add(24 * time.Hour)
		return ledger.Extended{Manifest: n, Root: root, Deadline: deadline, Reason: ledger.ExtendedOutage}
	case 9:
		return ledger.Withdrawn{Manifest: n, Root: root, Indexes: set, Reason: ledger.WithdrawnError}
	}
	return ledger.Forgotten{Manifest: n, Root: root, Indexes: set}
}

func (m *model) closedCounts(n int64) ledger.Counts {
	c := m.fold.Counts(n)
	c[backup.Expired] += c[backup.Pending]
	c[backup.Pending] = 0
	return c
}

// step does something to the store and to the model.
func (m *model) step(l *Ledger) error {
	switch k := m.random.IntN(20); {
	case k < 2 || len(m.fold.Manifests) == 0:
		n := int64(len(m.fold.Manifests)) + 1
		lines := m.makeLines(n, 1+m.random.Int64N(300))
		if err := stageSlowly(l, n, lines); err != nil {
			return err
		}
		return l.Append(m.add(m.sealed(n, lines)))
	case k < 4:
		n, items := m.manifest()
		leaf, err := l.Enqueue(func(number int64, previous tlog.Hash) ([]byte, error) {
			d := m.delivered(n, m.set(items))
			d.Number, d.Previous = number, previous
			return m.leaf(d), nil
		})
		m.waiting = append(m.waiting, leaf)
		return err
	case k < 6 && len(m.waiting) > 0:
		leaf := m.waiting[0]
		if _, _, err := m.fold.Clone().Append(leaf); err != nil {
			m.waiting = nil // another receipt came before it
			return l.DropOutbox()
		}
		m.waiting = m.waiting[1:]
		m.addLeaf(leaf)
		return l.Append(leaf)
	case k < 8:
		n, items := m.manifest()
		return l.PutFault(n, m.set(items), Fault{Class: fmt.Sprint(m.random.IntN(4)), Last: m.now})
	case k < 9:
		var refused *ledger.RefusedError
		if err := l.Append(m.leaf(m.body()), []byte("not an entry")); !errors.As(err, &refused) {
			return fmt.Errorf("a bad entry: %w", err)
		}
		return nil
	}
	var leaves [][]byte
	for range 1 + m.random.IntN(6) {
		leaves = append(leaves, m.add(m.body()))
	}
	return l.Append(leaves...)
}

// check compares everything that can be asked.
func (m *model) check(l *Ledger) {
	t := m.t
	t.Helper()
	if size, root := l.Position(); size != m.fold.Size || root != m.fold.Tree.Root() {
		t.Fatalf("Position = %d, %x, want %d, %x", size, root[:], m.fold.Size, m.fold.Tree.Root())
	}
	if total, err := l.Total(); err != nil || total != m.fold.Total() {
		t.Fatalf("Total = %v, %v, want %v", total, err, m.fold.Total())
	}
	for n := int64(1); n <= int64(len(m.fold.Manifests)); n++ {
		if counts, err := l.Counts(n); err != nil || counts != m.fold.Counts(n) {
			t.Fatalf("Counts(%d) = %v, %v, want %v", n, counts, err, m.fold.Counts(n))
		}
		states := m.fold.States(n)
		for _, s := range backup.States {
			if set, err := l.Items(n, s); err != nil || !set.Equal(states[s]) {
				t.Fatalf("Items(%d, %s) = %v, %v, want %v", n, s, set, err, states[s])
			}
		}
		open := states[backup.Pending].Union(states[backup.Expired])
		faults, err := l.Faults(n)
		must(t, err)
		var faulty ledger.Set
		for _, f := range faults {
			if !faulty.Intersect(f.Items).IsEmpty() || f.Items.IsEmpty() {
				t.Fatalf("a fault of manifest %d is about %s, others about %s", n, f.Items, faulty)
			}
			faulty = faulty.Union(f.Items)
		}
		if !faulty.Difference(open).IsEmpty() {
			t.Fatalf("faults of manifest %d about %s, open are %s", n, faulty, open)
		}
	}
	waiting, err := l.Outbox()
	if err != nil || !slices.EqualFunc(waiting, m.waiting, bytes.Equal) {
		t.Fatalf("Outbox has %d receipts, %v, want %d", len(waiting), err, len(m.waiting))
	}
}

func TestAgainstModel(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	db := openStore(t, dir, Options{noSync: true})
	db.cache.maxBytes = 4096 // states come and go
	l := openLedger(t, db)
	m := &model{author: newAuthor(t, testOrigin), random: rand.New(rand.NewPCG(seed, 0))}
	must(t, l.Append(m.genesis(), m.assign()))
	for i := range 120 {
		if err := m.step(l); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		m.check(l)
		if i%40 == 39 {
			checkWell(t, l, m.author)
			must(t, db.Close())
			db = openStore(t, dir, Options{noSync: true})
			l = openLedger(t, db)
			m.check(l)
		}
	}
}

// Readers see whole appends only, while one writes.
func TestReadersAndWriter(t *testing.T) {
	t.Parallel()
	db := openStore(t, "", Options{InMemory: true})
	db.cache.maxBytes = 1
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	const items = 500
	for n := int64(1); n <= 2; n++ {
		stage(t, l, n, a.makeLines(n, items))
		must(t, l.Append(a.add(a.sealed(n, a.lines[n]))))
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for seen := int64(0); ; {
				changed := l.Changed()
				size, root := l.Position()
				if at, err := l.RootAt(size); err != nil || size < seen || at != root {
					t.Errorf("size %d after %d: root %x, %v, want %x", size, seen, at[:], err, root[:])
					return
				}
				seen = size
				for n := int64(1); n <= 2; n++ {
					sets, err := l.States(n)
					if c := sets.Counts(); err != nil || c.Sum() != items || c[backup.Confirmed]%5 != 0 {
						t.Errorf("manifest %d: counts %v, %v", n, c, err)
						return
					}
				}
				if total, _ := l.Total(); total.Sum() != 2*items {
					t.Errorf("Total = %v", total)
					return
				}
				select {
				case <-done:
					return
				case <-changed:
				}
			}
		})
	}
	for i := range int64(100) {
		must(t, l.Append(a.add(a.delivered(1, span(5*i, 5*i+4))), a.add(a.delivered(2, span(5*i, 5*i+4)))))
	}
	close(done)
	readers.Wait()
	checkWell(t, l, a)
}

// Ledgers of one store are kept apart, also where their origins are alike.
func TestManyLedgers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openStore(t, dir, Options{})
	var authors []*author
	for i := range 20 {
		o := ledger.Origin(fmt.Sprintf("wolkvox.com/backup/acme/nas-%d/00112233445566778899aabbccddeeff", i))
		a := newAuthor(t, o)
		authors = append(authors, a)
		l, err := db.Ledger(o)
		must(t, err)
		again, err := db.Ledger(o)
		if err != nil || l != again {
			t.Errorf("Ledger returned another one, %v", err)
		}
		must(t, l.Append(a.genesis(), a.assign()))
		stage(t, l, 1, a.makeLines(1, int64(i)))
		must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))
	}
	must(t, db.Close())
	db = openStore(t, dir, Options{})
	if origins, err := db.Origins(); err != nil || len(origins) != 20 {
		t.Errorf("%d origins, %v", len(origins), err)
	}
	for _, a := range authors {
		l, err := db.Ledger(a.origin)
		must(t, err)
		checkWell(t, l, a)
	}
}
