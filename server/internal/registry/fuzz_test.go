package registry

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// FuzzStored reads the records kept as JSON, through the database that holds them: each kind is refused, or is written
// and read again as the same.
func FuzzStored(f *testing.F) {
	db, err := badger.Open(badger.DefaultOptions("").WithInMemory(true).WithLogger(nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	for _, record := range []any{
		Tenant{Name: "acme", TimeZone: "America/Bogota"}, Source{Tenant: "acme", Name: "main", Directory: "/a", MarkerID: "x"},
		Destination{Tenant: "acme", Name: "nas"}, Agent{Tenant: "acme", Name: "a"}, Heartbeat{At: time.Unix(0, 0).UTC(), Reports: []Report{{Size: 3}}},
	} {
		value, err := json.Marshal(stored[any]{schema, record})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Add([]byte(`{"schema":2,"record":{}}`))
	f.Add([]byte(`{"schema":1,"record":{"unknown":1}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		reread[Tenant](t, db, value)
		reread[Source](t, db, value)
		reread[Destination](t, db, value)
		reread[Agent](t, db, value)
		reread[Heartbeat](t, db, value)
		reread[Token](t, db, value)
		reread[logKey](t, db, value)
	})
}

// reread reads value as a T and, where that is one, writes and reads it again.
func reread[T any](t *testing.T, db *badger.DB, value []byte) {
	t.Helper()
	k := []byte("k")
	txn := db.NewTransaction(true)
	defer txn.Discard()
	if err := txn.Set(k, value); err != nil {
		t.Fatal(err)
	}
	first, err := get[T](txn, k, SubjectAgent, "x")
	if err != nil {
		return
	}
	if err := put(txn, k, first); err != nil {
		return // a time that JSON cannot say; nothing wrote it
	}
	second, err := get[T](txn, k, SubjectAgent, "x")
	if err != nil || !bytes.Equal(encode(t, first), encode(t, second)) {
		t.Errorf("%q is read as %+v and again as %+v, %v", value, first, second, err)
	}
}

// encode returns a record as it is kept, in which instants and empty lists have one form.
func encode(t *testing.T, record any) []byte {
	t.Helper()
	value, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// FuzzName reads the numbers kept of taken names.
func FuzzName(f *testing.F) {
	f.Add(appendName(nil, 7))
	f.Add([]byte{recordVersion, 0x80, 0x00})
	f.Fuzz(func(t *testing.T, value []byte) {
		manifest, err := parseName(value)
		if err != nil {
			return
		}
		if again, err := parseName(appendName(nil, manifest)); err != nil || again != manifest || bytes.Equal(value, nil) {
			t.Errorf("%x is read as %d and again as %d, %v", value, manifest, again, err)
		}
	})
}
