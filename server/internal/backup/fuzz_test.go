package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
)

// fixedKey is a key for seeds, which have to be the same in each run. It protects nothing.
const (
	fixedIdentity  = "AGE-SECRET-KEY-1WQXGKHH44KA0PMQUR8PYM0RWA8M3TYKGLTCY0Q64F98R2CACEUVQMSQFF9"
	fixedRecipient = "age1t4k99uu5e0uqh4p45w6cxfjvu8xzlly0y25r7fhd5xc5fy575swsrqm68a"
)

// part is a file, which has a path, or a record.
type part struct{ Path, Key, Data string }

// readPlain reads a backup that is decrypted already.
func readPlain(plain []byte, take func(part)) error {
	lines := &lineReader{reader: bufio.NewReader(bytes.NewReader(plain)), sum: sha256.New()}
	_, err := lines.readAll(Handler{
		File:   func(path string, data []byte) error { take(part{Path: path, Data: string(data)}); return nil },
		Record: func(key, value []byte) error { take(part{Key: string(key), Data: string(value)}); return nil },
	})
	return err
}

// FuzzLines reads decrypted backups: all files lie below the state directory, and a whole backup is written and read again
// as the same.
func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"format":"wolkvox-server-backup","version":1,"created_at":"2026-11-22T03:00:00Z"}
{"file":"identity/authority.pem","data":"AA=="}
{"key":"dABhY21l","value":"YQ=="}
{"end":{"file_count":1,"record_count":1,"sha256":"6b6de28264e821f6783851f1531ec1551172f504baed4fb8e448c64e349b57bb"}}
`))
	f.Add([]byte("{\"format\":\"wolkvox-server-backup\",\"version\":1,\"created_at\":\"2026-11-22T03:00:00Z\"}\n{\"file\":\"../x\",\"data\":\"\"}\n"))
	f.Add([]byte("{\"format\":\"wolkvox-server-backup\",\"version\":2}\n"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		var parts []part
		err := readPlain(plain, func(p part) {
			if p.Path != "" && !filepath.IsLocal(filepath.FromSlash(p.Path)) {
				t.Errorf("the file %q is handed out", p.Path)
			}
			parts = append(parts, p)
		})
		if err != nil {
			if !errors.Is(err, ErrBroken) && !errors.Is(err, ErrVersion) {
				t.Errorf("Read = %v", err)
			}
			return
		}
		var text bytes.Buffer
		w, err := NewWriter(&text, fixedRecipient, made)
		must(t, err)
		for _, p := range parts {
			if p.Path != "" {
				must(t, w.File(p.Path, []byte(p.Data)))
			} else {
				must(t, w.Record([]byte(p.Key), []byte(p.Data)))
			}
		}
		must(t, w.Close())
		var again []part
		must(t, readPlain([]byte(decrypted(t, text.Bytes(), []byte(fixedIdentity))), func(p part) { again = append(again, p) }))
		if diff := cmp.Diff(parts, again); diff != "" {
			t.Errorf("read again (-first +again):\n%s", diff)
		}
	})
}

// FuzzRead reads backups as they lie on a disk: what is not for the key, or was changed, is refused by name.
func FuzzRead(f *testing.F) {
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Add([]byte("age-encryption.org/v1\n-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\nEmECAEcKN+n/Vs9SbWiV+Hu0r+E8R77DdWYyd83nw7U\n--- Vn+54jqiiUCE+WZcEVY3f1sqHjlu/z1LCQ/T7Xm7qI0\n\xee\xcf"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Read(bytes.NewReader(data), []byte(fixedIdentity), Handler{
			File: func(string, []byte) error { return nil }, Record: func([]byte, []byte) error { return nil },
		})
		if err != nil && !errors.Is(err, ErrNotFor) && !errors.Is(err, ErrBroken) && !errors.Is(err, ErrVersion) {
			t.Errorf("Read = %v", err)
		}
	})
}

// FuzzKeys reads what people give as recipients and as files of identities: a recipient that is taken is written the same, and no
// error shows what was given.
func FuzzKeys(f *testing.F) {
	f.Add(fixedRecipient)
	f.Add("# created: 2026-11-22T03:00:00Z\n# public key: " + fixedRecipient + "\n" + fixedIdentity + "\n")
	f.Add("ssh-ed25519 AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		to, err := parseRecipient(text)
		if err == nil && to.String() != strings.ToLower(text) {
			t.Errorf("%q is taken as %q", text, to)
		}
		if err != nil && err != ErrRecipient {
			t.Errorf("the recipient %q: %v", text, err)
		}
		_, err = Read(bytes.NewReader(nil), []byte(text), Handler{})
		if _, wrong := age.ParseIdentities(strings.NewReader(text)); wrong != nil && err != ErrIdentity || wrong == nil && !errors.Is(err, ErrBroken) {
			t.Errorf("the identity %q: %v", text, err)
		}
	})
}
