package registry

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/identity"
)

// FuzzStored reads the records kept as JSON, through the database that holds them: each kind is refused, or is written
// and read again as the same.
func FuzzStored(f *testing.F) {
	db := fuzzed(f, Tenant{Name: "acme", TimeZone: "America/Bogota"}, Source{Tenant: "acme", Name: "main", Directory: "/a", MarkerID: "x"},
		Destination{Tenant: "acme", Name: "nas"}, Agent{Tenant: "acme", Name: "a"}, Heartbeat{At: time.Unix(0, 0).UTC(), Reports: []Report{{Size: 3}}})
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

// fuzzed adds records as seeds, and returns a database to read in.
func fuzzed(f *testing.F, records ...any) *badger.DB {
	f.Helper()
	db, err := badger.Open(badger.DefaultOptions("").WithInMemory(true).WithLogger(nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	for _, record := range records {
		value, err := json.Marshal(stored[any]{schema, record})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	return db
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

// FuzzPeople reads the records of the admin log, of people, and of revoked and renewed agents: each kind is refused, or is
// written and read again as the same; and a record that can be written has one hash.
func FuzzPeople(f *testing.F) {
	at := time.Unix(0, 0).UTC()
	act := Act{Time: at, Who: "local", Act: "init", Subject: "{}", Outcome: OutcomeOK}
	db := fuzzed(f, act, AdminRecord{Number: 1, Act: act, Previous: firstPrevious}, adminHead{1, firstPrevious},
		Credential{Role: identity.OperatorRole("maria"), Serial: "0a", IssuedAt: at, End: at, IssuedBy: "local", RevokedAt: &at},
		RevokedAgent{Tenant: "acme", Name: "a", At: at}, renewal{Next: &NextCertificate{Certificate: []byte{1}, At: at}})
	f.Fuzz(func(t *testing.T, value []byte) {
		reread[Act](t, db, value)
		reread[AdminRecord](t, db, value)
		reread[adminHead](t, db, value)
		reread[Credential](t, db, value)
		reread[RevokedAgent](t, db, value)
		reread[renewal](t, db, value)
		rehash(t, value)
	})
}

// rehash reads a record of the admin log and what it is printed as: it has one hash.
func rehash(t *testing.T, value []byte) {
	t.Helper()
	var s stored[AdminRecord]
	if json.Unmarshal(value, &s) != nil {
		return
	}
	first, err := s.Record.Hash()
	if err != nil {
		return // a time that JSON cannot say; nothing wrote it
	}
	var again AdminRecord
	if err := json.Unmarshal(encode(t, s.Record), &again); err != nil {
		t.Fatal(err)
	}
	if second, err := again.Hash(); err != nil || second != first {
		t.Errorf("%q has the hash %s and, read again, %s, %v", value, first, second, err)
	}
}

// FuzzLife reads the records of what a log goes through: recovery, alarms, restarts, ends, outages, backups.
func FuzzLife(f *testing.F) {
	at := time.Unix(0, 0).UTC()
	db := fuzzed(f, Recovery{Begun: true, LastHead: []byte{1}, Wanted: [][]byte{{2}}, Recovering: true}, Alarm{Kind: AlarmFork, RaisedAt: at, Heads: [][]byte{{1}}},
		formerLog{Destination: Destination{Tenant: "acme", Name: "nas"}}, ended{at}, Outage{Number: 1, Start: at, End: at}, presence{at}, Backup{At: at, Keys: []string{"k"}})
	f.Fuzz(func(t *testing.T, value []byte) {
		reread[Recovery](t, db, value)
		reread[Alarm](t, db, value)
		reread[formerLog](t, db, value)
		reread[ended](t, db, value)
		reread[Outage](t, db, value)
		reread[presence](t, db, value)
		reread[Backup](t, db, value)
	})
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
