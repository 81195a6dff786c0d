package enroll

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/internal/ledger"
)

// FuzzRecords reads the files of an agent's identity: a destination that is taken has a log, the agent's key for it and
// the server's, all of one name; and what is taken is written and read again as the same.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"schema":1,"record":{"origin":"wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff","signing_key_seed":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","server_key":""}}`))
	f.Add([]byte(`{"schema":1,"record":{"agent":"0123456789abcdef","tenant":"acme","server":"backup.example.com:443"}}`))
	f.Add([]byte(`{"schema":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "record.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if agent, err := readRecord[agentRecord](path); err == nil {
			again := rewrite(t, path, agent)
			if again != agent {
				t.Errorf("%q is read as %+v and again as %+v", text, agent, again)
			}
			return
		}
		record, err := readRecord[destinationRecord](path)
		if err != nil {
			return
		}
		d, err := record.destination("0123456789abcdef")
		if err != nil {
			return
		}
		if d.ServerKey.Name() != string(d.Origin) || d.Key.Verifier().Name() != d.Origin.AgentKeyName("0123456789abcdef") {
			t.Errorf("%q is taken as %+v", text, d)
		}
		if _, err := ledger.ParseOrigin(string(d.Origin)); err != nil {
			t.Errorf("%q is taken: %v", text, err)
		}
		if again, err := rewrite(t, path, record).destination("0123456789abcdef"); err != nil || again.Origin != d.Origin || again.Key.Verifier() != d.Key.Verifier() {
			t.Errorf("%q is read again as %+v, %v", text, again, err)
		}
	})
}

// rewrite writes a record and returns what is read of it.
func rewrite[T any](t *testing.T, path string, record T) T {
	t.Helper()
	check(t, writeRecord(path, record))
	again, err := readRecord[T](path)
	check(t, err)
	return again
}
