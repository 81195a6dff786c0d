package store

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// randomStates spreads items over all states, as no compression can help with.
func randomStates(items int64, random *rand.Rand) *itemStates {
	st := emptyStates()
	indexes := make([][]uint32, len(st))
	for i := range items {
		s := 1 + random.IntN(len(backup.States))
		indexes[s] = append(indexes[s], uint32(i))
	}
	for s := range st {
		st[s].AddMany(indexes[s])
	}
	return st
}

// The states of the largest manifest fit in one transaction with an entry, whatever they are.
func TestLargestStatesFit(t *testing.T) {
	t.Parallel()
	for _, inMemory := range []bool{false, true} {
		db := openStore(t, t.TempDir(), Options{InMemory: inMemory})
		st := randomStates(ledger.MaxItems, rand.New(rand.NewPCG(1, 2)))
		must(t, db.update("test", func(tx *badger.Txn) error {
			if err := tx.Set([]byte("entry"), make([]byte, ledger.MaxEntryBytes-1)); err != nil {
				return err
			}
			return st.write(tx, 1, 1, nil)
		}))
		must(t, db.view(func(tx *badger.Txn) error {
			got, err := readStates(tx, 1, 1, ledger.MaxItems)
			if err != nil {
				return err
			}
			for s := range st {
				if !st[s].Equals(got[s]) {
					t.Errorf("the %s items differ", backup.State(s))
				}
			}
			if _, err := readStates(tx, 1, 1, ledger.MaxItems-1); !errors.Is(err, ErrDamaged) {
				t.Errorf("states of another number of items: %v", err)
			}
			return nil
		}))
	}
}

// A wrong cache is found by Verify.
func TestWrongCacheIsFound(t *testing.T) {
	t.Parallel()
	db := openStore(t, "", Options{InMemory: true})
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	stage(t, l, 1, a.makeLines(1, 1000))
	must(t, l.Append(a.add(a.sealed(1, a.lines[1])), a.add(a.delivered(1, span(0, 499)))))
	wrong := randomStates(1000, rand.New(rand.NewPCG(1, 2)))
	must(t, db.update("test", func(tx *badger.Txn) error { return wrong.write(tx, l.id, 1, nil) }))
	if r, err := l.Verify(t.Context()); err != nil || len(r.Problems) == 0 {
		t.Errorf("Verify of a wrong cache: %+v, %v", r, err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	c := newStateCache(1 << 20)
	for n := range int64(100) {
		c.put(stateKey{1, n}, randomStates(50_000, random))
		if c.bytes > c.maxBytes || len(c.byKey) != c.recent.Len() {
			t.Fatalf("%d bytes of %d, %d keys, %d held", c.bytes, c.maxBytes, len(c.byKey), c.recent.Len())
		}
	}
	if _, err := c.states(stateKey{1, 99}, func() (*itemStates, error) { return nil, errors.New("loaded") }); err != nil {
		t.Error("the states used last are not held")
	}
}

// BenchmarkMillion stages, seals, delivers at random, reads and opens again a manifest of a million lines.
func BenchmarkMillion(b *testing.B) {
	const items = 1_000_000
	a := newAuthor(b, testOrigin)
	lines := a.makeLines(1, items)
	sealed := a.sealed(1, lines)
	random := rand.New(rand.NewPCG(1, 2))
	rate := func(name string, f func()) {
		start := time.Now()
		f()
		b.ReportMetric(items/time.Since(start).Seconds(), name)
	}
	for b.Loop() {
		a := newAuthor(b, testOrigin)
		dir := b.TempDir()
		db := openStore(b, dir, Options{Compactors: 2})
		l := openLedger(b, db)
		must(b, l.Append(a.genesis(), a.assign()))
		rate("staged/s", func() { stage(b, l, 1, lines) })
		must(b, l.Append(a.add(sealed)))
		start := time.Now()
		for range 100 {
			var ranges []ledger.Range
			for range 2000 {
				first := random.Int64N(items)
				ranges = append(ranges, ledger.Range{First: first, Last: first})
			}
			must(b, l.Append(a.add(a.delivered(1, ledger.NewSet(ranges...)))))
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds())/100, "ms/append")
		rate("lines/s", func() {
			for _, err := range l.Lines(1, 0) {
				must(b, err)
			}
		})
		rate("raw/s", func() {
			for _, err := range l.RawLines(1, 0) {
				must(b, err)
			}
		})
		must(b, db.Close())
		start = time.Now()
		db = openStore(b, dir, Options{Compactors: 2})
		l = openLedger(b, db)
		if set, err := l.Items(1, backup.Confirmed); err != nil || set.IsEmpty() {
			b.Fatal(set, err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/open")
		must(b, db.Close())
	}
}
