package sealer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// stale takes down that entries of the log came from outside.
func stale(s *servertest.Server, change func(*registry.Recovery)) {
	_, err := s.Registry.UpdateRecovery(s.Origin, change)
	s.Must(err)
}

// lookup returns the catalog's records of source paths.
func lookup(s *servertest.Server, paths ...string) map[string]registry.Record {
	records := map[string]registry.Record{}
	for _, path := range paths {
		record, found, err := s.Registry.Catalog().Lookup(s.Origin, path)
		s.Must(err)
		if found {
			records[path] = record
		}
	}
	return records
}

// A catalog that holds more than the log, less, or something else is made again from the manifests; what files look like stays
// known, so that nothing is sealed twice.
func TestCatalogIsMadeAgain(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, noon)
	s.Write("a/one.gsm", "one", noon)
	s.Write("a/ONE.gsm", "another", noon)
	s.Write("b/two.gsm", "two", noon)
	s.Look(false, noon.Add(time.Hour))
	s.Write("b/two.gsm", "changed", noon.Add(time.Hour))
	s.Look(false, noon.Add(2*time.Hour))
	want := describe(t, s.Sequencer())
	paths := []string{"main/a/one.gsm", "main/a/ONE.gsm", "main/b/two.gsm", "/main\x00", "/main/a\x00", "/main/b\x00"}
	before := lookup(s, paths...)
	if len(before) != len(paths) {
		t.Fatalf("the catalog has %d of %d records", len(before), len(paths))
	}
	catalog := s.Registry.Catalog()
	orphan := registry.Record{SourcePath: "main/orphan.gsm", Path: "main/orphan.gsm", Folded: "main/orphan.gsm", Manifest: 2, Index: 0}
	wrong := before["main/a/one.gsm"]
	wrong.Manifest, wrong.Index = 2, 0 // as another history had it, with the same contents
	s.Must(catalog.PutBatch(s.Origin, []registry.Record{orphan, wrong}))
	s.Must(catalog.DeleteUnsealed(s.Origin, 1, func(yield func(registry.Record) bool) { yield(before["main/a/ONE.gsm"]) }))
	stale(s, func(rec *registry.Recovery) { rec.CatalogStale = true })

	s.Must(s.Sealer.RebuildStale(t.Context()))
	s.Look(false, noon.Add(3*time.Hour))
	check(t, s.Sequencer(), want...)
	after := lookup(s, append(paths, "main/orphan.gsm")...)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("records (-before +after):\n%s", diff)
	}
	if _, taken, err := catalog.Taken(s.Origin, "main/orphan.gsm"); taken || err != nil {
		t.Errorf("the orphan's name is taken: %v", err)
	}
	if rec, err := s.Registry.Recovery(s.Origin); err != nil || rec.CatalogStale {
		t.Errorf("the recovery record is %+v, %v; the catalog is not stale any more", rec, err)
	}
}

// What only entries named that were cut off is sealed afresh, under its own name.
func TestWhatTheLogDoesNotNameIsSealedAfresh(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, noon)
	s.Write("one.gsm", "one", noon)
	s.Look(false, noon.Add(time.Hour))
	size, _ := s.Sequencer().Ledger().Position()
	s.Write("two.gsm", "two", noon.Add(time.Hour))
	s.Write("one.gsm", "changed", noon.Add(time.Hour))
	s.Look(false, noon.Add(2*time.Hour))
	before := describe(t, s.Sequencer())

	stale(s, func(rec *registry.Recovery) { rec.Recovering, rec.CatalogStale = true, true })
	s.Must(s.Sequencer().Ledger().Cut(t.Context(), size))
	if _, err := s.Sealer.Look(t.Context(), servertest.Tenant, "", false, noon.Add(3*time.Hour)); !errors.Is(err, sequencer.ErrRecovering) {
		t.Errorf("a look while the log recovers = %v, want ErrRecovering", err)
	}
	s.Must(s.Sealer.RebuildStale(t.Context()))
	if rec, err := s.Registry.Recovery(s.Origin); err != nil || !rec.CatalogStale {
		t.Errorf("while the log recovers its catalog was made again: %+v, %v", rec, err)
	}
	check(t, s.Sequencer(), "1 2026-03-10 main/one.gsm:3:pending")

	stale(s, func(rec *registry.Recovery) { rec.Recovering = false })
	s.Look(false, noon.Add(4*time.Hour))
	after := describe(t, s.Sequencer())
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("what was cut off is not sealed again as it was (-before +after):\n%s", diff)
	}
}

// One destination that recovers does not keep another from being served.
func TestAnotherDestinationGoesOn(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, noon)
	other := s.AddDestination("cloud", backup.StorageS3)
	s.Write("one.gsm", "one", noon)
	stale(s, func(rec *registry.Recovery) { rec.Recovering = true })
	for i := range 2 { // two looks find that the file is finished
		_, err := s.Sealer.Look(t.Context(), servertest.Tenant, "", false, noon.Add(time.Duration(i+1)*time.Hour))
		if !errors.Is(err, sequencer.ErrRecovering) {
			t.Errorf("a look while one log recovers = %v, want ErrRecovering", err)
		}
	}
	seq, _ := s.Sequencers.Of(other)
	check(t, seq, "1 2026-03-10 main/one.gsm:3:pending")
	check(t, s.Sequencer())
	stale(s, func(rec *registry.Recovery) { rec.Recovering = false })
	s.Look(false, noon.Add(4*time.Hour))
	check(t, s.Sequencer(), "1 2026-03-10 main/one.gsm:3:pending")
	check(t, seq, "1 2026-03-10 main/one.gsm:3:pending")
}
