package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/wolkvox/backup/internal/ledger"
)

// FuzzBitmap reads bitmaps off a disk that may have changed them: what is taken can be counted, joined and written, and
// is read again as the same.
func FuzzBitmap(f *testing.F) {
	for _, set := range []ledger.Set{{}, ledger.NewSet(ledger.Range{First: 0, Last: 99999}), ledger.NewSet(ledger.Range{First: 3, Last: 3}, ledger.Range{First: 70000, Last: 70001})} {
		bitmap := bitmapOf(set)
		bitmap.RunOptimize()
		value, err := bitmap.ToBytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		bitmap := roaring.New()
		if decodeBitmap(bitmap, value) != nil {
			return
		}
		if bitmap.GetCardinality() > 1<<24 {
			return // more than any manifest has: the caller refuses it by its count
		}
		union := roaring.Or(bitmap, bitmapOf(ledger.NewSet(ledger.Range{First: 1, Last: 2})))
		if union.GetCardinality() < bitmap.GetCardinality() || setOf(bitmap).Len() != int64(bitmap.GetCardinality()) {
			t.Fatalf("%x counts %d items", value, bitmap.GetCardinality())
		}
		bitmap.RunOptimize()
		again, err := bitmap.ToBytes()
		if err != nil {
			t.Fatal(err)
		}
		same := roaring.New()
		if err := decodeBitmap(same, again); err != nil || !same.Equals(bitmap) {
			t.Errorf("%x is read again as another bitmap: %v", value, err)
		}
	})
}

// FuzzRecords reads the JSON records: each is refused as damaged, or is written and read again as the same.
func FuzzRecords(f *testing.F) {
	for _, v := range []any{
		logRecord{Size: 3, ServerKey: "k", Chains: map[ledger.Verifier]chainRecord{"a": {Number: 2}}},
		manifestRecord{Manifest: sealedRecord{Number: 1, Items: 7}}, faultRecord{Class: "c", Party: "p", Items: []byte{1}}, sessionRecord{},
	} {
		value, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		reread(t, value, new(logRecord), new(logRecord))
		reread(t, value, new(manifestRecord), new(manifestRecord))
		reread(t, value, new(faultRecord), new(faultRecord))
		reread(t, value, new(sessionRecord), new(sessionRecord))
	})
}

func reread[T any](t *testing.T, value []byte, first, second *T) {
	t.Helper()
	if err := decode([]byte("key"), value, first); err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v, want ErrDamaged", value, err)
		}
		return
	}
	written, err := json.Marshal(first)
	if err != nil {
		return // a date or a time that JSON cannot say; nothing wrote it
	}
	if err := decode([]byte("key"), written, second); err != nil {
		t.Fatalf("%q is written as %q and not read again: %v", value, written, err)
	}
	if again, err := json.Marshal(second); err != nil || !bytes.Equal(again, written) {
		t.Errorf("%q is written again as %q, %v", written, again, err)
	}
}

// FuzzTable reads a file of tables: whatever is in it, the answer is an error or nil, never the end of the process.
func FuzzTable(f *testing.F) {
	dir := f.TempDir()
	db, err := Open(dir, Options{})
	if err != nil {
		f.Fatal(err)
	}
	if err := db.Close(); err != nil { // which writes what is in memory as a table
		f.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		f.Fatalf("%d tables, %v", len(tables), err)
	}
	for _, name := range tables {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if err := checkTable(name); err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		name := filepath.Join(t.TempDir(), "000001.sst")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = checkTable(name)
	})
}

// FuzzTableIndex reads the index of a table without the checksum that stands before it.
func FuzzTableIndex(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{4, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		sections, err := sectionsOf(data)
		if err == nil && len(sections) > len(data) {
			t.Errorf("%x has %d blocks", data, len(sections))
		}
	})
}

// FuzzDurations reads how long items sound: it is refused as damaged, or is written and read again as the same.
func FuzzDurations(f *testing.F) {
	l := &Ledger{origin: testOrigin}
	f.Add([]byte{0, 1, 0x81, 1})
	f.Add(encodeDurations([]time.Duration{UnknownDuration, 0, maxDuration}))
	f.Fuzz(func(t *testing.T, value []byte) {
		durations, err := l.decodeDurations(1, 0, value)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%x: %v, want ErrDamaged", value, err)
			}
			return
		}
		again, err := l.decodeDurations(1, 0, encodeDurations(durations))
		if err != nil || !slices.Equal(durations, again) {
			t.Errorf("%x is read again as other durations: %v", value, err)
		}
	})
}
