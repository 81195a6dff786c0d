package door_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/server/internal/door"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	line := func(key any) string {
		t.Helper()
		public, err := ssh.NewPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(ssh.MarshalAuthorizedKey(public))
	}
	edKey, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := func(bits int) string {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return line(&key.PublicKey)
	}
	good := line(edKey)
	for what, text := range map[string]string{"Ed25519": good, "ECDSA": line(&ecKey.PublicKey), "RSA": rsaKey(3072)} {
		key, err := door.ParseKey(strings.TrimSpace(text) + " Ana, laptop\n")
		if err != nil || key.Comment != "Ana, laptop" || key.Text != strings.TrimSpace(text) || !strings.HasPrefix(key.Fingerprint, "SHA256:") {
			t.Errorf("%s: %+v, %v", what, key, err)
		}
	}
	for what, text := range map[string]string{
		"nothing": "", "RSA of 2048 bits": rsaKey(2048), "two keys": good + good, "options": `from="192.0.2.1" ` + good, "half": good[:30],
		"a private key": "-----BEGIN OPENSSH PRIVATE KEY-----\n", "too long": strings.Repeat("#\n", 5000) + good,
		"DSA":         "ssh-dss AAAAB3NzaC1kc3MAAACBAPhgcSnn9YTX",
		"certificate": "ssh-ed25519-cert-v01@openssh.com " + strings.Fields(good)[1],
	} {
		if key, err := door.ParseKey(text); err == nil {
			t.Errorf("%s: %+v", what, key)
		}
	}
	for comment, ok := range map[string]bool{"": true, "José": true, "a\nb": false, "\x1b[2J": false, "\xff": false, strings.Repeat("x", 101): false} {
		if err := door.CheckComment(comment); (err == nil) != ok {
			t.Errorf("%q: %v", comment, err)
		}
	}
}

// The host key is made once, and nobody else can read it.
func TestHostKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), door.HostKeyFile)
	made, err := door.LoadHostKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := door.LoadHostKey(path)
	if err != nil || again.Fingerprint() != made.Fingerprint() || !strings.HasPrefix(made.PublicKey(), "ssh-ed25519 ") {
		t.Errorf("%v, %s and %s", err, made.Fingerprint(), again.Fingerprint())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for what, spoil := range map[string]func() error{
		"readable": func() error { return os.Chmod(path, 0o644) },
		"damaged":  func() error { return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("x"), 0o600)) },
		"empty":    func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := door.LoadHostKey(path); err == nil {
			t.Errorf("%s: it is taken", what)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", what, err))
		}
	}
}
