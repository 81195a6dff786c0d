package registry

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/internal/ledger"
)

const (
	nasLog = ledger.Origin("wolkvox.com/backup/acme/nas/00000000000000000000000000000001")
	s3Log  = ledger.Origin("wolkvox.com/backup/acme/s3/00000000000000000000000000000002")
)

func record(sourcePath, path, folded string, manifest, index int64) Record {
	return Record{
		Identity:   Identity{SizeBytes: 33 * index, ModTimeNs: -1 - index, ChangeTimeNs: 1 << 60, Inode: 1<<64 - 1},
		SourcePath: sourcePath, Path: path, Folded: folded, SHA256: [32]byte{byte(index), 31: 1}, Manifest: manifest, Index: index,
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	c := newRegistry(t).Catalog()
	records := []Record{
		record("2026/a.gsm", "2026/a.gsm", "2026/a.gsm", 1, 0),
		record("2026/A.gsm", "2026/A~2.gsm", "2026/a~2.gsm", 1, 1),
		record("2026/\xff\x00.gsm", "2026/%ff%00.gsm", "2026/%ff%00.gsm", 1, 2),
		record("B.gsm", "B.gsm", "b.gsm", 1, 3),
	}
	check(t, c.PutBatch(nasLog, records))
	for _, want := range records {
		if got, found, err := c.Lookup(nasLog, want.SourcePath); err != nil || !found || got != want {
			t.Errorf("Lookup(%q) = %+v, %t, %v, want %+v", want.SourcePath, got, found, err, want)
		}
		if manifest, taken, err := c.Taken(nasLog, want.Folded); err != nil || !taken || manifest != 1 {
			t.Errorf("Taken(%q) = %d, %t, %v", want.Folded, manifest, taken, err)
		}
		if got, found, err := c.Lookup(s3Log, want.SourcePath); err != nil || found {
			t.Errorf("Lookup(%q) in another log = %+v, %t, %v", want.SourcePath, got, found, err)
		}
		if _, taken, err := c.Taken(s3Log, want.Folded); err != nil || taken {
			t.Errorf("Taken(%q) in another log = %t, %v", want.Folded, taken, err)
		}
	}
	for _, path := range []string{"", "2026/", "2026/a.gs", "2026/a.gsm ", "A"} {
		if got, found, err := c.Lookup(nasLog, path); err != nil || found {
			t.Errorf("Lookup(%q) = %+v, %t, %v", path, got, found, err)
		}
	}
	if _, taken, err := c.Taken(nasLog, "2026/A~2.gsm"); err != nil || taken {
		t.Errorf("the name that is not folded is taken: %t, %v", taken, err)
	}

	identity := Identity{SizeBytes: 1, ModTimeNs: 2, ChangeTimeNs: 3, Inode: 4}
	check(t, c.UpdateIdentity(nasLog, "2026/a.gsm", identity))
	want := records[0]
	want.Identity = identity
	if got, _, err := c.Lookup(nasLog, "2026/a.gsm"); err != nil || got != want {
		t.Errorf("after UpdateIdentity Lookup = %+v, %v, want %+v", got, err, want)
	}
	if err := c.UpdateIdentity(nasLog, "unknown", identity); !errors.Is(err, ErrNotFound) {
		t.Errorf("UpdateIdentity of an unknown path = %v, want ErrNotFound", err)
	}
	if _, _, err := c.Lookup("no origin", "a"); err == nil {
		t.Error("Lookup in no log found nothing wrong")
	}
}

func TestDeleteUnsealedLeavesTheSealed(t *testing.T) {
	t.Parallel()
	c := newRegistry(t).Catalog()
	sealed := []Record{record("a", "a", "a", 1, 0), record("b", "b", "b", 1, 1)}
	unsealed := []Record{record("b", "b~2", "b~2", 2, 0), record("c", "c", "c", 2, 1)}
	check(t, c.PutBatch(nasLog, sealed))
	check(t, c.PutBatch(nasLog, unsealed))
	check(t, c.PutBatch(s3Log, unsealed))
	for range 2 {
		check(t, c.DeleteUnsealed(nasLog, 2, slices.Values(append(slices.Clone(sealed), unsealed...))))
		for path, want := range map[string]bool{"a": true, "b": false, "c": false} {
			if _, found, err := c.Lookup(nasLog, path); err != nil || found != want {
				t.Errorf("Lookup(%q) found %t, %v, want %t", path, found, err, want)
			}
		}
		for name, want := range map[string]int64{"a": 1, "b": 1, "b~2": 0, "c": 0} {
			if manifest, _, err := c.Taken(nasLog, name); err != nil || manifest != want {
				t.Errorf("Taken(%q) = %d, %v, want %d", name, manifest, err, want)
			}
		}
	}
	if _, found, err := c.Lookup(s3Log, "c"); err != nil || !found {
		t.Errorf("another log lost its record: %t, %v", found, err)
	}
}

// More than one transaction holds, and all there after reopening.
func TestManyRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, dir)
	records := make([]Record, 10_000)
	for i := range records {
		path := fmt.Sprintf("2026/03/01/recording-of-a-call-%06d.gsm", i)
		records[i] = record(path, path, path, 1, int64(i))
	}
	check(t, r.Catalog().PutBatch(nasLog, records))
	check(t, r.Close())
	r = open(t, dir)
	defer r.Close()
	for _, want := range records {
		if got, found, err := r.Catalog().Lookup(nasLog, want.SourcePath); err != nil || !found || got != want {
			t.Fatalf("Lookup(%q) = %+v, %t, %v", want.SourcePath, got, found, err)
		}
	}
	check(t, r.Catalog().DeleteUnsealed(nasLog, 1, slices.Values(records)))
	for _, gone := range records {
		if _, found, err := r.Catalog().Lookup(nasLog, gone.SourcePath); err != nil || found {
			t.Fatalf("Lookup(%q) after deleting = %t, %v", gone.SourcePath, found, err)
		}
	}
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	t.Parallel()
	for _, want := range []Record{record("a", "a", "a", 1, 0), record("A", "A~2", "a~2", 1<<40, 1<<40), {}} {
		b := appendRecord(nil, want)
		if got, err := parseRecord(want.SourcePath, b); err != nil || got != want {
			t.Errorf("parseRecord = %+v, %v, want %+v", got, err, want)
		}
		for n := range b {
			if got, err := parseRecord(want.SourcePath, b[:n]); err == nil {
				t.Errorf("a record cut after %d of %d bytes was read as %+v", n, len(b), got)
			}
		}
		if got, err := parseRecord(want.SourcePath, append(slices.Clone(b), 0)); err == nil {
			t.Errorf("a record with a byte more was read as %+v", got)
		}
		b[0]++
		if got, err := parseRecord(want.SourcePath, b); err == nil {
			t.Errorf("a record of a later version was read as %+v", got)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("a", appendRecord(nil, record("a", "b", "c", 1, 2)))
	f.Fuzz(func(t *testing.T, sourcePath string, b []byte) {
		got, err := parseRecord(sourcePath, b)
		if err != nil {
			return
		}
		again, err := parseRecord(sourcePath, appendRecord(nil, got))
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("a record read, written and read again: %v\n%s", err, diff)
		}
	})
}

func BenchmarkCatalog(b *testing.B) {
	r, err := Open(b.TempDir(), testLog)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	c := r.Catalog()
	records := make([]Record, 10_000)
	put := 0
	b.Run("PutBatch of 10000", func(b *testing.B) {
		for b.Loop() {
			for i := range records {
				path := fmt.Sprintf("2026/03/01/recording-of-a-call-%08d.gsm", put+i)
				records[i] = record(path, path, path, 1, int64(i))
			}
			put += len(records)
			if err := c.PutBatch(nasLog, records); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Lookup", func(b *testing.B) {
		for b.Loop() {
			path := fmt.Sprintf("2026/03/01/recording-of-a-call-%08d.gsm", rand.IntN(put))
			if _, found, err := c.Lookup(nasLog, path); err != nil || !found {
				b.Fatal(path, found, err)
			}
		}
	})
}
