package registry

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/identity"
)

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
