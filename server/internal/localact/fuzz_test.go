package localact

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/server/internal/registry"
)

// FuzzParse reads what commands left: what is taken is one command's act on this machine, can be kept in the admin log, and
// is written and read again as the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schema":1,"act":{"time":"2026-03-01T00:00:00Z","who":"local","act":"init","subject":"{}","reason":"","outcome":"OK","tenant":""},` +
		`"credential":{"role":"wolkvox://role/operator/admin","serial":"0a","issued_at":"2026-03-01T00:00:00Z","end":"2027-03-01T00:00:00Z","issued_by":"local"}}`))
	f.Add([]byte(`{"schema":1,"act":{"time":"9999-12-31T23:59:59-01:00","who":"local","act":"authority rotate"},"credential":null}`))
	f.Add([]byte(`{"schema":1,"act":{"who":"local","act":"x"},"credential":{"role":"wolkvox://role/agent/acme/0123456789abcdef"}}`))
	f.Add([]byte(`{"schema":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parse(text)
		if err != nil {
			return
		}
		if a.Act.Who != Who || a.Act.Act == "" || a.Credential != nil && (a.Credential.IssuedBy != Who || a.Credential.Role.Check() != nil) {
			t.Errorf("%q is taken as %+v", text, a)
		}
		if _, err := (registry.AdminRecord{Number: 1, Act: a.Act}).Hash(); err != nil {
			t.Errorf("%q is taken, and cannot be kept: %v", text, err)
		}
		if a.Credential != nil {
			if _, err := json.Marshal(a.Credential); err != nil {
				t.Errorf("the credential in %q is taken, and cannot be kept: %v", text, err)
			}
		}
		written, err := format(a)
		check(t, err)
		again, err := parse(written)
		if diff := cmp.Diff(a, again); err != nil || diff != "" {
			t.Errorf("%q is read again as another, %v (-first +again):\n%s", text, err, diff)
		}
	})
}
