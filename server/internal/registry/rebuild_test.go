package registry

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// catalogOf returns all records and names of a log, and what lies beside them.
func catalogOf(t *testing.T, r *Registry, origin ledger.Origin) (all map[string]string, beside int) {
	t.Helper()
	log, err := logID(origin)
	check(t, err)
	all = map[string]string{}
	check(t, r.db.View(func(txn *badger.Txn) error {
		b := &Rebuild{log: log}
		for _, table := range []byte{catalogTable, nameTable, newCatalogTable, newNameTable} {
			it := b.iterate(txn, table)
			defer it.Close()
			for ; it.Valid(); it.Next() {
				value, err := it.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				if table == newCatalogTable || table == newNameTable {
					beside++
					continue
				}
				all[string(it.Item().Key())] = string(value)
			}
		}
		return nil
	}))
	return all, beside
}

func item(i int, manifest int64) Record {
	path := fmt.Sprintf("calls/%04d.gsm", i)
	return Record{
		Identity: Identity{SizeBytes: int64(i), ModTimeNs: 7}, SourcePath: path, Path: path, Folded: path,
		SHA256: sha256.Sum256(fmt.Append(nil, i)), Manifest: manifest, Index: int64(i),
	}
}

// Whatever the catalog held before, rebuilt it is what was put, and what was asked to be kept; the catalog of another log
// is left alone, and so is this one if the rebuilding is given up.
func TestRebuild(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRegistry(t)
	d, err := r.CreateDestination("acme", "nas", backup.StorageRSYNC, at)
	check(t, err)
	fresh, err := r.CreateDestination("acme", "fresh", backup.StorageRSYNC, at)
	check(t, err)
	other, err := r.CreateDestination("acme", "other", backup.StorageRSYNC, at)
	check(t, err)
	c := r.Catalog()
	check(t, c.PutBatch(other.Origin, []Record{item(1, 1)}))
	otherBefore, _ := catalogOf(t, r, other.Origin)
	for round := range 20 {
		var had, should []Record
		for i := range 60 {
			if random.IntN(2) == 0 {
				had = append(had, item(i, 1+random.Int64N(3)))
			}
			if random.IntN(2) == 0 {
				should = append(should, item(i, 1+random.Int64N(3)))
			}
		}
		kept := item(1000, 2)
		check(t, c.PutBatch(d.Origin, append(had, kept)))
		before, _ := catalogOf(t, r, d.Origin)
		givenUp, err := c.Rebuild(d.Origin)
		check(t, err)
		check(t, givenUp.Put([]Record{item(2000, 9)}))
		if after, _ := catalogOf(t, r, d.Origin); !cmp.Equal(before, after) {
			t.Fatalf("round %d: a rebuilding that was given up changed the catalog", round)
		}
		b, err := c.Rebuild(d.Origin)
		check(t, err)
		check(t, b.Put(should[:len(should)/2]))
		check(t, b.Put(should[len(should)/2:]))
		check(t, b.Finish(func(r Record) bool { return r.Index == 1000 }))

		wanted, err := c.Rebuild(fresh.Origin) // an empty catalog becomes what is put
		check(t, err)
		check(t, wanted.Put(append(should, kept)))
		check(t, wanted.Finish(func(Record) bool { return false }))
		got, beside := catalogOf(t, r, d.Origin)
		want, _ := catalogOf(t, r, fresh.Origin)
		if len(got) != len(want) || len(got) != 2*(len(should)+1) || beside != 0 {
			t.Fatalf("round %d: %d records and names, %d left beside them; want %d and %d", round, len(got), beside, len(want), 2*(len(should)+1))
		}
		for _, record := range append(should, kept) {
			got, found, err := c.Lookup(d.Origin, record.SourcePath)
			manifest, taken, _ := c.Taken(d.Origin, record.Folded)
			if err != nil || !found || got != record || !taken || manifest != record.Manifest {
				t.Errorf("round %d: Lookup(%q) = %+v, %v, %v, want %+v; its name is %d's", round, record.SourcePath, got, found, err, record, manifest)
			}
		}
	}
	if after, _ := catalogOf(t, r, other.Origin); !cmp.Equal(otherBefore, after) {
		t.Error("the catalog of another log was changed")
	}
}
