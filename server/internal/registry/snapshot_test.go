package registry

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
)

// records returns the records of a snapshot.
func records(t *testing.T, r *Registry) (all map[string]string, keys []string) {
	t.Helper()
	all = map[string]string{}
	keys, err := r.Snapshot(func(key, value []byte) error { all[string(key)] = string(value); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all, keys
}

// openNew opens an empty registry until the test ends.
func openNew(t *testing.T) *Registry {
	t.Helper()
	r := open(t, t.TempDir())
	t.Cleanup(func() { check(t, r.Close()) })
	return r
}

// A snapshot has every table but the catalog's, those too that this test does not know; restored it is the same registry.
func TestSnapshotIsRestored(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 22, 3, 0, 0, 0, time.UTC)
	from := openNew(t)
	check(t, from.CreateTenant(Tenant{Name: "acme", TimeZone: "UTC"}))
	d, err := from.CreateDestination("acme", "nas", backup.StorageRSYNC, at)
	check(t, err)
	check(t, from.Catalog().PutBatch(d.Origin, []Record{{SourcePath: "calls/a.gsm", Path: "calls/a.gsm", Folded: "calls/a.gsm", Manifest: 1}}))
	batch := from.db.NewWriteBatch()
	check(t, batch.Set(key('~', "of", "the future"), []byte("kept")))
	check(t, batch.Set(key('1', "before all"), []byte("kept too")))
	check(t, batch.Flush())
	all, keys := records(t, from)
	if all["~\x00of\x00the future"] != "kept" || all["1\x00before all"] != "kept too" || all["d\x00acme\x00nas"] == "" || all["x\x00acme\x00nas"] == "" {
		t.Errorf("the snapshot has %q", all)
	}
	for k := range all {
		if k[0] == catalogTable || k[0] == nameTable {
			t.Errorf("the snapshot has the catalog's %q", k)
		}
	}

	to := openNew(t)
	restoration, err := to.Restore()
	check(t, err)
	defer restoration.Close()
	for k, v := range all {
		check(t, restoration.Put([]byte(k), []byte(v)))
	}
	if err := restoration.Put(key(catalogTable, "x"), nil); err == nil {
		t.Error("a record of the catalog was restored")
	}
	check(t, restoration.Commit())
	again, _ := records(t, to)
	if diff := cmp.Diff(all, again); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if keys, err := to.LogKeys(d.Origin); err != nil || len(keys) != 1 || keys[0].Verifier() != d.ServerKey {
		t.Errorf("the restored log keys are %v, %v", keys, err)
	}
	if _, err := to.Restore(); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("Restore over a registry = %v, want ErrNotEmpty", err)
	}

	check(t, from.RecordBackup(Backup{At: at, Keys: keys}))
	kept, made, err := from.LastBackup()
	if err != nil || !made || !kept.At.Equal(at) || !kept.Holds(d.ServerKey) {
		t.Errorf("LastBackup = %v, %v, %v, want one that holds the log's key", kept, made, err)
	}
	later, err := from.CreateDestination("acme", "cloud", backup.StorageS3, at)
	check(t, err)
	if kept.Holds(later.ServerKey) {
		t.Error("the backup holds a key that was made later")
	}
	if _, made, err := to.LastBackup(); made || err != nil {
		t.Errorf("LastBackup of a registry without = %v, %v", made, err)
	}
}

// What is written while a snapshot is taken is in it as a whole or not at all.
func TestSnapshotIsOfOneInstant(t *testing.T) {
	t.Parallel()
	r := openNew(t)
	check(t, r.CreateTenant(Tenant{Name: "a", TimeZone: "UTC"}))
	check(t, r.CreateTenant(Tenant{Name: "z", TimeZone: "UTC"}))
	made := 0
	var got [][]byte
	_, err := r.Snapshot(func(key, _ []byte) error {
		got = append(got, bytes.Clone(key))
		made++
		return r.CreateTenant(Tenant{Name: fmt.Sprintf("m%d", made), TimeZone: "UTC"})
	})
	check(t, err)
	for _, key := range got {
		if bytes.Contains(key, []byte("\x00m")) {
			t.Errorf("the snapshot has %q, which was written after it began", key)
		}
	}
	if made < 2 {
		t.Errorf("the snapshot has %d records", made)
	}
}
