package identity_test

import (
	"crypto/ecdsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/identity/identitytest"
)

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

func TestCredentialSaveAndLoad(t *testing.T) {
	t.Parallel()
	_, a := saved(t)
	_, other := saved(t)
	path := filepath.Join(t.TempDir(), "credential.pem")
	operator, err := a.NewOperator("first", at)
	check(t, err)
	check(t, operator.Save(path))
	loaded, err := identity.LoadCredential(path)
	check(t, err)
	if role, err := identity.RoleOf(loaded.Certificate.Leaf); err != nil || role != identity.OperatorRole("first") || !loaded.Authority.Equal(a.Certificate()) {
		t.Errorf("loaded the credential of %v, %v", role, err)
	}
	if len(loaded.Certificate.Certificate) != 2 {
		t.Errorf("the chain has %d certificates, want the operator's and the intermediate's", len(loaded.Certificate.Certificate))
	}
	operator.Authority = other.Certificate()
	check(t, operator.Save(path))
	if _, err := identity.LoadCredential(path); err == nil {
		t.Error("LoadCredential took a certificate that another authority issued")
	}
	if _, err := identity.LoadCredential(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadCredential of nothing = %v, want ErrNotExist", err)
	}
}

// The grace after the end is an agent's alone, and has an end.
func TestGraceAfterTheEnd(t *testing.T) {
	t.Parallel()
	_, a := saved(t)
	agent := agentOf(t, a, at)
	end := agent.Certificate.Leaf.NotAfter
	for _, days := range []time.Duration{0, 29, 30} {
		if err := connect(t, a, asAgent(agent, at), end.Add(days*24*time.Hour)); err != nil {
			t.Errorf("an agent %d days after the end: %v", days, err)
		}
	}
	for _, after := range []time.Duration{identity.RenewalGrace + time.Second, 31 * 24 * time.Hour} {
		if err := connect(t, a, asAgent(agent, at), end.Add(after)); err == nil {
			t.Errorf("an agent %v after the end was let in", after)
		}
	}
	operator, err := a.NewOperator("first", at)
	check(t, err)
	if err := connect(t, a, asAgent(operator, at), operator.Certificate.Leaf.NotAfter.Add(time.Second)); err == nil {
		t.Error("an operator was let in after the end")
	}
}
