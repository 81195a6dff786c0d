package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzKeyFile reads private keys: what is taken is a key of the kind that certificates hold here, and is written and
// read again as the same.
func FuzzKeyFile(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), KeyFile)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := LoadKey(path)
		if err != nil {
			return
		}
		if err := CheckKey(key.Public()); err != nil {
			t.Errorf("%q is taken: %v", text, err)
		}
		if err := SaveKey(path, key); err != nil {
			t.Fatal(err)
		}
		if again, err := LoadKey(path); err != nil || !again.Equal(key) {
			t.Errorf("%q is read again as another key: %v", text, err)
		}
	})
}

// FuzzCertificate reads certificates and what is made of them: whoever has a role has a good one, and no certificate but
// the pinned one is the authority's.
func FuzzCertificate(f *testing.F) {
	authority, err := NewAuthority(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		f.Fatal(err)
	}
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	agent, err := authority.IssueAgent(key.Public(), "acme", "0123456789abcdef", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(agent.Raw)
	f.Add(authority.Certificate().Raw)
	pin := sha256.Sum256([]byte("a key that no certificate here has"))
	f.Fuzz(func(t *testing.T, der []byte) {
		path := filepath.Join(t.TempDir(), CertificateFile)
		if err := SaveCertificate(path, der); err != nil {
			t.Fatal(err)
		}
		cert, err := LoadCertificate(path)
		if err != nil {
			return
		}
		if !bytes.Equal(cert.Raw, der) {
			t.Errorf("%x is read as %x", der, cert.Raw)
		}
		if role, err := RoleOf(cert); err == nil && role.Check() != nil {
			t.Errorf("%x has the role %s: %v", der, role, role.Check())
		}
		if _, err := FindAuthority([]*x509.Certificate{cert}, pin); err == nil {
			t.Errorf("%x is taken for the pinned authority", der)
		}
	})
}
