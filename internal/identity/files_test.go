package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestNothingOutlivesTheAuthority(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	late := at.Add(IssuerLifetime - time.Hour)
	operator, err := a.NewOperator("late", late)
	if err != nil {
		t.Fatal(err)
	}
	if end := operator.Certificate.Leaf.NotAfter; !end.Equal(a.Issuer().NotAfter) {
		t.Errorf("a certificate ends at %v, the intermediate at %v", end, a.Issuer().NotAfter)
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.IssueAgent(other.Public(), "acme", agentName, at); err == nil {
		t.Error("a certificate was issued for a key on P-384")
	}
	if _, err := a.IssueAgent(key.Public(), "Acme", agentName, at); err == nil {
		t.Error("a certificate was issued for tenant Acme")
	}
	if _, err := a.IssueAgent(key.Public(), "acme", "first", at); err == nil {
		t.Error("a certificate was issued for an agent named first")
	}
	if _, err := a.IssueOperator(key.Public(), "a/b", at); err == nil {
		t.Error("a certificate was issued for an operator named a/b")
	}
	if _, err := a.IssueServer(key.Public(), nil, at); err == nil {
		t.Error("a certificate was issued for a server without a name")
	}
}

func TestKeysOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Log("on Windows the mode says nothing; files are written and read back only")
	}
	path := filepath.Join(t.TempDir(), KeyFile)
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveKey(path, key); err != nil {
		t.Fatal(err)
	}
	if loaded, err := LoadKey(path); err != nil || !loaded.Equal(key) {
		t.Fatalf("LoadKey = %v, %v, want the key", loaded, err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadKey(path)
		if runtime.GOOS != "windows" && (err == nil || !strings.Contains(err.Error(), "chmod 600 "+path)) {
			t.Errorf("LoadKey with mode %o = %v, want the remedy", mode, err)
		}
	}
}

func TestLoadKeyRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, KeyFile)
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveKey(path, key); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, data := range map[string][]byte{
		"empty": nil, "cut": good[:len(good)/2], "twice": append(bytes.Clone(good), good...),
		"of another type": bytes.ReplaceAll(good, []byte("PRIVATE KEY"), []byte("EC PRIVATE KEY")),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(path); err == nil {
			t.Errorf("LoadKey took a file that is %s", what)
		}
	}
}

func TestServerCertificateIsIssuedAgainWhereItMust(t *testing.T) {
	t.Parallel()
	a, dir := newAuthority(t), t.TempDir()
	serial := func(a *Authority, at time.Time, hosts ...string) string {
		t.Helper()
		cert, err := a.ServerCertificate(dir, hosts, at)
		if err != nil {
			t.Fatal(err)
		}
		if len(cert.Certificate) != 3 || !bytes.Equal(cert.Certificate[1], a.Issuer().Raw) || !bytes.Equal(cert.Certificate[2], a.Certificate().Raw) {
			t.Fatal("the authority's certificates do not follow the server's")
		}
		return cert.Leaf.SerialNumber.String()
	}
	first := serial(a, at, "localhost", "127.0.0.1")
	if again := serial(a, at.Add(ServerLifetime/2), "127.0.0.1", "localhost"); again != first {
		t.Error("a new certificate was issued although the first one is good")
	}
	if renewed := serial(a, at.Add(ServerLifetime/2+time.Second), "localhost", "127.0.0.1"); renewed == first {
		t.Error("the certificate was not renewed in the second half of its life")
	}
	if renamed := serial(a, at, "localhost"); renamed == first || serial(a, at, "localhost") != renamed {
		t.Error("the certificate was not issued once for another name")
	}
	before := serial(a, at, "localhost")
	if moved := serial(newAuthority(t), at, "localhost"); moved == before {
		t.Error("the certificate of another authority was kept")
	}
	rotated, err := a.Rotate(a.rootKey, at)
	if err != nil {
		t.Fatal(err)
	}
	before = serial(a, at, "localhost")
	if moved := serial(rotated, at, "localhost"); moved == before {
		t.Error("the certificate of an earlier intermediate was kept")
	}
	if _, err := a.ServerCertificate(dir, []string{"backup.wolkvox.com"}, at.Add(IssuerLifetime+time.Second)); err == nil || !strings.Contains(err.Error(), "authority rotate") {
		t.Errorf("an intermediate that ended issued: %v, want the remedy", err)
	}
}
