package identity_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/identity/identitytest"
)

func TestRotateIntermediate(t *testing.T) {
	t.Parallel()
	dir, a := saved(t)
	before := agentOf(t, a, at)
	rootKey, err := a.LoadRootKey(dir, "")
	check(t, err)
	later := at.Add(30 * 24 * time.Hour)
	rotated, err := a.Rotate(rootKey, later)
	check(t, err)
	check(t, rotated.Save(dir))
	rotated, err = identity.LoadAuthority(dir)
	check(t, err)
	if rotated.Pin() != a.Pin() || rotated.Issuer().Equal(a.Issuer()) || !rotated.Issuer().NotAfter.Equal(later.Add(identity.IssuerLifetime)) {
		t.Errorf("rotated: pin kept %t, the intermediate ends at %v", rotated.Pin() == a.Pin(), rotated.Issuer().NotAfter)
	}
	after := agentOf(t, rotated, later)
	for what, err := range map[string]error{
		"an agent of before with the rotated server":      connect(t, rotated, asAgent(before, later), later),
		"an agent of after with the rotated server":       connect(t, rotated, asAgent(after, later), later),
		"an agent of after with a server put back":        connect(t, a, asAgent(after, later), later),
		"enrolling with a join string of before":          connect(t, rotated, enrolling(a, later), later),
		"a certificate of before, sent again":             chainHolds(rotated, before),
		"an agent of before that shows no intermediate":   connect(t, rotated, asAgent(bare(before), later), later),
		"an agent that renewed, with the rotated server":  connect(t, rotated, asAgent(renew(t, before, rotated, later), later), later),
		"an agent that renewed, with the server put back": connect(t, a, asAgent(renew(t, before, rotated, later), later), later),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := a.Rotate(newKey(t), later); !errors.Is(err, identity.ErrRootKey) {
		t.Errorf("Rotate with another key = %v, want ErrRootKey", err)
	}
}

// TestRotateRoot changes the root twice, with agents that trust the first, and ends with one that trusts the last.
func TestRotateRoot(t *testing.T) {
	t.Parallel()
	for what, start := range map[string]func(t *testing.T, dir string) *identity.Authority{
		"from a root with intermediate": func(t *testing.T, dir string) *identity.Authority {
			a, err := identity.NewAuthority(at)
			check(t, err)
			check(t, a.Save(dir))
			return a
		},
		"from an authority of the earlier form": func(t *testing.T, dir string) *identity.Authority {
			identitytest.SaveSelfIssued(t, dir, at)
			a, err := identity.LoadAuthority(dir)
			check(t, err)
			return a
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			authorities := []*identity.Authority{start(t, dir)}
			agents := []identity.Credential{agentOf(t, authorities[0], at)}
			for range 2 {
				last := authorities[len(authorities)-1]
				rootKey, err := last.LoadRootKey(dir, "")
				check(t, err)
				next, err := last.RotateRoot(rootKey, at)
				check(t, err)
				check(t, next.Save(dir))
				next, err = identity.LoadAuthority(dir)
				check(t, err)
				if next.Pin() == last.Pin() {
					t.Fatal("the pin is still the earlier root's")
				}
				authorities = append(authorities, next)
				agents = append(agents, agentOf(t, next, at))
			}
			last := authorities[2]
			for i, agent := range agents {
				if err := connect(t, last, asAgent(agent, at), at); err != nil {
					t.Errorf("agent %d with the last server: %v", i, err)
				}
				if err := connect(t, last, enrolling(authorities[i], at), at); err != nil {
					t.Errorf("enrolling with a join string of authority %d: %v", i, err)
				}
			}
			if err := connect(t, authorities[0], asAgent(agents[2], at), at); err != nil {
				t.Errorf("an agent of the last root with a server put back to the first: %v", err)
			}
			renewed := renew(t, agents[0], last, at)
			if identity.KeyHash(renewed.Authority) != last.Pin() || len(renewed.Older) != 2 {
				t.Errorf("the agent that renewed trusts %d roots, and knows the server by %q", len(renewed.Roots()), renewed.Authority.Subject)
			}
			if err := connect(t, last, asAgent(renewed, at), at); err != nil {
				t.Errorf("the agent that renewed, with the last server: %v", err)
			}
			if err := connect(t, authorities[0], asAgent(renewed, at), at); err != nil {
				t.Errorf("the agent that renewed, with a server put back to the first root: %v", err)
			}
			names, err := filepath.Glob(filepath.Join(dir, "*"))
			check(t, err)
			if len(names) != 2 {
				t.Errorf("the authority's directory holds %v, want its file and the last root's key", names)
			}
		})
	}
}

// A root that has ended is trusted no more, and a certificate goes on without it.
func TestRootsEnd(t *testing.T) {
	t.Parallel()
	dir, first := saved(t)
	year := 365 * 24 * time.Hour
	agent := agentOf(t, first, at)
	second, err := first.RotateRoot(rootKeyOf(t, first, dir), at.Add(5*year))
	check(t, err)
	check(t, second.Save(dir))
	agent = renew(t, agent, second, at.Add(5*year))
	if len(agent.Roots()) != 2 {
		t.Fatalf("the agent trusts %d roots, want both", len(agent.Roots()))
	}
	for _, late := range []time.Duration{9*year + year/2, 10*year + time.Hour} {
		rotated, err := second.Rotate(rootKeyOf(t, second, dir), at.Add(late))
		check(t, err)
		ended := late > 10*year
		renewed := renew(t, agent, rotated, at.Add(late))
		if len(rotated.Roots()) == 1 != ended || len(renewed.Roots()) == 1 != ended {
			t.Errorf("after %v the server trusts %d roots, the agent %d", late, len(rotated.Roots()), len(renewed.Roots()))
		}
		if err := connect(t, rotated, asAgent(renewed, at.Add(late)), at.Add(late)); err != nil {
			t.Errorf("after %v: %v", late, err)
		}
	}
}

func rootKeyOf(t *testing.T, a *identity.Authority, dir string) *ecdsa.PrivateKey {
	t.Helper()
	key, err := a.LoadRootKey(dir, "")
	check(t, err)
	return key
}

// A root that no trusted one certified is not adopted, whoever sends it.
func TestForeignRootsAreNotAdopted(t *testing.T) {
	t.Parallel()
	_, a := saved(t)
	_, other := saved(t)
	agent := agentOf(t, a, at)
	key := newKey(t)
	cert, err := a.IssueAgent(key.Public(), "acme", agentName, at)
	check(t, err)
	sent, err := identity.ParseCertificates(a.ChainOf(cert))
	check(t, err)
	renewed, err := agent.Renewed(append(sent, other.Certificate()), key, at)
	check(t, err)
	if len(renewed.Roots()) != 1 || !renewed.Authority.Equal(a.Certificate()) {
		t.Errorf("the agent trusts %d roots", len(renewed.Roots()))
	}
	foreign, err := other.IssueAgent(key.Public(), "acme", agentName, at)
	check(t, err)
	if sent, err = identity.ParseCertificates(other.ChainOf(foreign)); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Renewed(sent, key, at); err == nil {
		t.Error("a certificate of another authority was taken")
	}
	for what, c := range map[string][]*x509.Certificate{"nothing": nil, "no certificate of the authority": {cert}} {
		if _, err := agent.Renewed(c, key, at); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

// Whoever steals the intermediate's key, which is on the server, cannot make agents trust a root of his: neither that key nor
// one that it signed.
func TestStolenIntermediateMakesNoRoot(t *testing.T) {
	t.Parallel()
	dir, a := saved(t)
	agent := agentOf(t, a, at)
	text, err := os.ReadFile(filepath.Join(dir, identity.AuthorityFile))
	check(t, err)
	block, _ := pem.Decode(text)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	check(t, err)
	stolen, own, key := parsed.(*ecdsa.PrivateKey), newKey(t), newKey(t)
	cert, err := a.IssueAgent(key.Public(), "acme", agentName, at)
	check(t, err)
	sent, err := identity.ParseCertificates(a.ChainOf(cert))
	check(t, err)
	forge := func(name string, public any, issuer *x509.Certificate, signer *ecdsa.PrivateKey) *x509.Certificate {
		template := &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, NotBefore: at, NotAfter: at.Add(100 * 365 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign,
		}
		if issuer == nil {
			issuer = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, signer)
		check(t, err)
		made, err := x509.ParseCertificate(der)
		check(t, err)
		return made
	}
	for what, forged := range map[string][]*x509.Certificate{
		"the intermediate's key as a root":     {forge("root", stolen.Public(), nil, stolen)},
		"a root that the intermediate signed":  {forge("root", own.Public(), nil, own), forge("cross", own.Public(), a.Issuer(), stolen)},
		"a root that signed itself once more":  {forge("root", own.Public(), nil, own), forge("cross", own.Public(), forge("root", own.Public(), nil, own), own)},
		"a root that another such root signed": {forge("root", stolen.Public(), nil, stolen), forge("other", own.Public(), nil, own), forge("cross", own.Public(), forge("root", stolen.Public(), nil, stolen), stolen)},
	} {
		renewed, err := agent.Renewed(slices.Concat(sent[:1], forged, sent[1:]), key, at)
		check(t, err)
		if len(renewed.Roots()) != 1 || !renewed.Authority.Equal(a.Certificate()) {
			t.Errorf("%s: the agent trusts %d roots, the first of %s", what, len(renewed.Roots()), renewed.Authority.Subject)
		}
	}
}

// TestRotateRootIsOneStep stops after each file that the change of the root writes.
func TestRotateRootIsOneStep(t *testing.T) {
	t.Parallel()
	dir, a := saved(t)
	next, err := a.RotateRoot(rootKeyOf(t, a, dir), at)
	check(t, err)
	// Only the new root's key was written: the authority is the one before, and can be changed again.
	half := t.TempDir()
	check(t, a.Save(half))
	path, _ := a.RootKeyPath(half)
	check(t, identity.SaveKey(path, rootKeyOf(t, a, dir)))
	check(t, next.Save(dir))
	path, _ = next.RootKeyPath(half)
	check(t, identity.SaveKey(path, rootKeyOf(t, next, dir)))
	b, err := identity.LoadAuthority(half)
	check(t, err)
	if b.Pin() != a.Pin() {
		t.Fatal("half a change is a change")
	}
	again, err := b.RotateRoot(rootKeyOf(t, b, half), at)
	check(t, err)
	check(t, again.Save(half))
	names, err := filepath.Glob(filepath.Join(half, "root-*"))
	check(t, err)
	if len(names) != 1 {
		t.Errorf("%v were left", names)
	}
}
