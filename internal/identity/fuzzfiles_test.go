package identity

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"
)

// FuzzAuthority reads the authority's file: what is taken issues certificates that its own root stands behind, and is saved
// and read again as the same.
func FuzzAuthority(f *testing.F) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parseAuthority(text)
		if err != nil {
			return
		}
		dir := t.TempDir()
		if err := a.Save(dir); err != nil {
			t.Fatal(err)
		}
		again, err := LoadAuthority(dir)
		if err != nil || again.Pin() != a.Pin() || !again.Issuer().Equal(a.Issuer()) || len(again.Roots()) != len(a.Roots()) || !again.key.Equal(a.key) {
			t.Errorf("%q is read again as another authority: %v", text, err)
		}
		key, err := NewKey()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := a.IssueAgent(key.Public(), "acme", "0123456789abcdef", at)
		if err != nil {
			return // it has ended
		}
		if err := a.verifyCaller([]*x509.Certificate{cert}, at); err != nil && !Ended(a.Certificate(), at) {
			t.Errorf("what the authority of %q issues is not taken: %v", text, err)
		}
	})
}

// FuzzCredential reads files such as agent.pem: key and certificate belong together, one of the roots stands behind the
// certificate, and what is taken is written and read again as the same.
func FuzzCredential(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseCredential(text)
		if err != nil {
			return
		}
		if !slices.ContainsFunc(c.Roots(), isRoot) || c.Authority == nil {
			t.Errorf("%q is taken without a root", text)
		}
		data, err := c.Format()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseCredential(data)
		if err != nil || !again.Certificate.Leaf.Equal(c.Certificate.Leaf) || !again.Authority.Equal(c.Authority) || len(again.Older) != len(c.Older) {
			t.Errorf("%q is read again as another credential: %v", text, err)
		}
	})
}
