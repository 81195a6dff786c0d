// Package identitytest makes what earlier versions of package identity made, for tests of what becomes of it. It is
// imported by tests only.
package identitytest

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"path/filepath"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
)

// SaveSelfIssued writes an authority as the first version made it: one key, whose certificate allows no intermediate and
// which signs everything itself.
func SaveSelfIssued(t testing.TB, dir string, at time.Time) {
	t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"wolkvox"}, CommonName: "wolkvox backup authority"},
		NotBefore:             time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              at.Add(identity.AuthorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := identity.SaveKey(filepath.Join(dir, "authority.key"), key); err != nil {
		t.Fatal(err)
	}
	if err := identity.SaveCertificate(filepath.Join(dir, identity.SelfIssuedFile), der); err != nil {
		t.Fatal(err)
	}
}

// LoadSelfIssued makes an authority as the first version did, and loads it.
func LoadSelfIssued(t testing.TB, at time.Time) *identity.Authority {
	t.Helper()
	dir := t.TempDir()
	SaveSelfIssued(t, dir, at)
	authority, err := identity.LoadAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}
