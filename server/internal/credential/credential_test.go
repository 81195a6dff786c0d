package credential

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/identity/identitytest"
)

func sample(t *testing.T) Credential {
	t.Helper()
	authority, err := identity.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	operator, err := authority.NewOperator("admin", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return Credential{operator, "backup.example.com:443"}
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	want := sample(t)
	path := filepath.Join(t.TempDir(), "operator.pem")
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("Stat = %v, %v, want mode 0600", info.Mode(), err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Server != want.Server || !got.Authority.Equal(want.Authority) || !got.Certificate.Leaf.Equal(want.Certificate.Leaf) {
		t.Errorf("Load = %+v, want %+v", got, want)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("Load of a file that the group can read = %v", err)
	}
}

func TestPartsArePrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := sample(t).SaveParts(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{AuthorityPart, CertificatePart, KeyPart} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", name, info, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	c := sample(t)
	path := filepath.Join(t.TempDir(), "operator.pem")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good := string(data)
	if _, err := parse(data); err != nil {
		t.Fatal(err)
	}
	key := keyIn(good)
	for what, text := range map[string]string{
		"empty":               "",
		"another version":     strings.Replace(good, "v1", "v2", 1),
		"no server":           strings.Replace(good, addressKey+c.Server+"\n", "", 1),
		"a server of no form": strings.Replace(good, c.Server, "https://x", 1),
		"no key":              strings.Replace(good, key, "", 1),
		"more":                good + "x",
		"another's key":       strings.Replace(good, key, otherKey(t), 1),
	} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%s: parse gave no error", what)
		}
	}
}

// keyIn returns the block of a credential file that holds the key.
func keyIn(text string) string {
	return text[strings.Index(text, "-----BEGIN PRIVATE"):strings.Index(text, "-----BEGIN CERT")]
}

func otherKey(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.pem")
	if err := sample(t).Save(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return keyIn(string(data))
}

// The files of earlier versions hold one certificate, the key and the authority's certificate, in this order.
func TestEarlierForm(t *testing.T) {
	t.Parallel()
	authority := identitytest.LoadSelfIssued(t, time.Now())
	operator, err := authority.NewOperator("admin", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "operator.pem")
	if err := (Credential{operator, "backup.example.com:443"}).Save(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(data), "\n\n")
	key := keyIn(rest)
	certificates := strings.TrimPrefix(rest, key)
	end := strings.LastIndex(certificates, "-----BEGIN CERT")
	got, err := parse([]byte(head + "\n\n" + certificates[:end] + key + certificates[end:]))
	if err != nil || !got.Authority.Equal(authority.Certificate()) || !got.Certificate.Leaf.Equal(operator.Certificate.Leaf) {
		t.Errorf("parse = %+v, %v, want the credential", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(firstLine + "\n" + addressKey + "a:1\n\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parse(data); err == nil && CheckServer(c.Server) != nil {
			t.Errorf("parse(%q) has the server %q", data, c.Server)
		}
	})
}
