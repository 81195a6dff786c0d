package identity_test

import (
	"crypto/ecdsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/identity/identitytest"
)

func TestLifetimes(t *testing.T) {
	t.Parallel()
	_, a := saved(t)
	root, issuer := a.Certificate(), a.Issuer()
	if !root.NotAfter.Equal(at.Add(10*365*24*time.Hour)) || root.MaxPathLen != 1 || !root.IsCA {
		t.Errorf("the root ends at %v with a path of %d", root.NotAfter, root.MaxPathLen)
	}
	if !issuer.NotAfter.Equal(at.Add(2*365*24*time.Hour)) || !issuer.MaxPathLenZero || issuer.MaxPathLen != 0 {
		t.Errorf("the intermediate ends at %v with a path of %d", issuer.NotAfter, issuer.MaxPathLen)
	}
	third := identity.IssuerLifetime / 3
	if a.RenewalIsDue(issuer.NotAfter.Add(-third)) || !a.RenewalIsDue(issuer.NotAfter.Add(time.Second-third)) {
		t.Error("renewal is not due with less than a third of the intermediate's life left")
	}
	leaf := agentOf(t, a, at).Certificate.Leaf
	if got := identity.RenewalTime(leaf); !got.Equal(at.Add(60 * 24 * time.Hour)) {
		t.Errorf("an agent's certificate of 90 days is renewed at %v", got)
	}
}

// An authority that an earlier version made issues and is known as before.
func TestEarlierForm(t *testing.T) {
	t.Parallel()
	a := identitytest.LoadSelfIssued(t, at)
	if a.HasIntermediate() || !a.Issuer().Equal(a.Certificate()) {
		t.Fatal("it has an intermediate")
	}
	agent := agentOf(t, a, at)
	if err := agent.Certificate.Leaf.CheckSignatureFrom(a.Certificate()); err != nil {
		t.Errorf("the certificate is not its root's: %v", err)
	}
	for what, err := range map[string]error{
		"its agent": connect(t, a, asAgent(agent, at), at), "a join string of its": connect(t, a, enrolling(a, at), at),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	// What an agent of then kept: three files.
	dir := t.TempDir()
	check(t, identity.SaveKey(filepath.Join(dir, identity.KeyFile), agent.Certificate.PrivateKey.(*ecdsa.PrivateKey)))
	check(t, identity.SaveCertificate(filepath.Join(dir, identity.CertificateFile), agent.Certificate.Leaf.Raw))
	check(t, identity.SaveCertificate(filepath.Join(dir, identity.SelfIssuedFile), a.Certificate().Raw))
	loaded, err := identity.LoadCredentialParts(dir)
	check(t, err)
	if !loaded.Authority.Equal(a.Certificate()) || !loaded.Certificate.Leaf.Equal(agent.Certificate.Leaf) {
		t.Error("another credential was loaded")
	}
	if err := a.Save(t.TempDir()); err == nil {
		t.Error("it was saved in a form that it does not have")
	}
	if err := a.ExportRootKey(t.TempDir(), filepath.Join(t.TempDir(), "root.key")); err == nil || !strings.Contains(err.Error(), "authority rotate") {
		t.Errorf("ExportRootKey = %v, want the remedy", err)
	}
}

// TestRootOffline runs a server without its root's key, and brings the key back to rotate.
func TestRootOffline(t *testing.T) {
	t.Parallel()
	dir, a := saved(t)
	away := filepath.Join(t.TempDir(), "root.key")
	path, _ := a.RootKeyPath(dir)
	if err := a.ExportRootKey(dir, path); err == nil {
		t.Error("the key was moved to where it is")
	}
	check(t, a.ExportRootKey(dir, away))
	if _, isThere := a.RootKeyPath(dir); isThere {
		t.Error("the key is still there")
	}
	if info, err := os.Stat(away); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the key's new file: %v, %v", info, err)
	}
	a, err := identity.LoadAuthority(dir)
	check(t, err)
	if err := connect(t, a, asAgent(agentOf(t, a, at), at), at); err != nil {
		t.Errorf("without the root's key: %v", err)
	}
	if _, err := a.LoadRootKey(dir, ""); !errors.Is(err, identity.ErrRootKeyAway) || !strings.Contains(err.Error(), "--root-key") {
		t.Errorf("LoadRootKey = %v, want ErrRootKeyAway and the remedy", err)
	}
	_, other := saved(t)
	if _, err := other.LoadRootKey(dir, away); !errors.Is(err, identity.ErrRootKey) {
		t.Errorf("LoadRootKey of another authority = %v, want ErrRootKey", err)
	}
	key, err := a.LoadRootKey(dir, away)
	check(t, err)
	rotated, err := a.Rotate(key, at)
	check(t, err)
	check(t, rotated.Save(dir))
	if _, isThere := rotated.RootKeyPath(dir); isThere {
		t.Error("rotating with a key from elsewhere left it in the state directory")
	}
}

// An export that a crash cut off after the copy goes on, and one onto another file is refused with the key in its place.
func TestExportRootKeyAgain(t *testing.T) {
	t.Parallel()
	dir, a := saved(t)
	away := filepath.Join(t.TempDir(), "root.key")
	check(t, identity.SaveKey(away, rootKeyOf(t, a, dir)))
	taken := filepath.Join(t.TempDir(), "taken")
	check(t, identity.SaveKey(taken, newKey(t)))
	if err := a.ExportRootKey(dir, taken); !errors.Is(err, identity.ErrRootKey) {
		t.Errorf("ExportRootKey to a file of another key = %v", err)
	}
	if _, isThere := a.RootKeyPath(dir); !isThere {
		t.Fatal("the key is gone")
	}
	check(t, a.ExportRootKey(dir, away))
	if _, isThere := a.RootKeyPath(dir); isThere {
		t.Error("the key is still there")
	}
}

func TestLoadAuthorityRefuses(t *testing.T) {
	t.Parallel()
	if _, err := identity.LoadAuthority(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadAuthority of an empty folder = %v, want ErrNotExist", err)
	}
	dir, _ := saved(t)
	otherDir, _ := saved(t)
	path := filepath.Join(dir, identity.AuthorityFile)
	good, err := os.ReadFile(path)
	check(t, err)
	other, err := os.ReadFile(filepath.Join(otherDir, identity.AuthorityFile))
	check(t, err)
	const begin = "-----BEGIN CERTIFICATE"
	key, certs, _ := strings.Cut(string(good), begin)
	otherKey, otherCerts, _ := strings.Cut(string(other), begin)
	issuer, _, _ := strings.Cut(certs, begin)
	_, otherRoot, _ := strings.Cut(otherCerts, begin)
	for what, text := range map[string]string{
		"empty": "", "cut": string(good[:len(good)-40]), "followed by text": string(good) + "x", "without its key": begin + certs,
		"with two keys": key + string(good), "with another's key": otherKey + begin + certs, "without a root": key + begin + issuer,
		"with another's root": key + begin + issuer + begin + otherRoot,
	} {
		check(t, os.WriteFile(path, []byte(text), 0o600))
		if _, err := identity.LoadAuthority(dir); err == nil {
			t.Errorf("LoadAuthority took a file that is %s", what)
		}
	}
}
