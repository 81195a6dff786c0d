package identity_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/identity/identitytest"
)

const agentName = "0123456789abcdef"

var at = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// saved makes an authority, saves it, and loads it again: without the root's key, as a server runs.
func saved(t *testing.T) (dir string, a *identity.Authority) {
	t.Helper()
	dir = t.TempDir()
	made, err := identity.NewAuthority(at)
	check(t, err)
	check(t, made.Save(dir))
	a, err = identity.LoadAuthority(dir)
	check(t, err)
	if a.Pin() != made.Pin() || !a.Issuer().Equal(made.Issuer()) {
		t.Fatal("the authority that was loaded is another one")
	}
	return dir, a
}

func agentOf(t *testing.T, a *identity.Authority, at time.Time) identity.Credential {
	t.Helper()
	key, err := identity.NewKey()
	check(t, err)
	cert, err := a.IssueAgent(key.Public(), "acme", agentName, at)
	check(t, err)
	c, err := a.NewCredential(cert, key)
	check(t, err)
	return c
}

// renew is what an agent comes to hold that renews with an authority.
func renew(t *testing.T, c identity.Credential, a *identity.Authority, at time.Time) identity.Credential {
	t.Helper()
	key, err := identity.NewKey()
	check(t, err)
	cert, err := a.IssueAgent(key.Public(), "acme", agentName, at)
	check(t, err)
	sent, err := identity.ParseCertificates(a.ChainOf(cert))
	check(t, err)
	renewed, err := c.Renewed(sent, key, at)
	check(t, err)
	return renewed
}

// connect has a client call a server that runs with an authority, and returns why either refused.
func connect(t *testing.T, a *identity.Authority, client *tls.Config, at time.Time) error {
	t.Helper()
	cert, err := a.ServerCertificate(t.TempDir(), []string{"localhost"}, at)
	check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			defer conn.Close()
			_, _, err = a.ServerCredentials(func() tls.Certificate { return cert }, clock(at)).ServerHandshake(conn)
		}
		done <- err
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err == nil {
		defer conn.Close()
	}
	return errors.Join(err, <-done)
}

func clock(t time.Time) func() time.Time { return func() time.Time { return t } }

func asAgent(c identity.Credential, at time.Time) *tls.Config {
	config := identity.ClientConfig(c, "localhost", clock(at))
	config.NextProtos = []string{"h2"} // as gRPC wants it
	return config
}

func enrolling(a *identity.Authority, at time.Time) *tls.Config {
	config := identity.EnrollingConfig("localhost", a.Pin(), clock(at))
	config.NextProtos = []string{"h2"}
	return config
}

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

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := identity.NewKey()
	check(t, err)
	return key
}

func bare(c identity.Credential) identity.Credential {
	c.Certificate.Certificate = c.Certificate.Certificate[:1]
	return c
}

// chainHolds reports whether what the authority sends with a certificate is enough for its holder.
func chainHolds(a *identity.Authority, c identity.Credential) error {
	sent, err := identity.ParseCertificates(a.ChainOf(c.Certificate.Leaf))
	if err != nil {
		return err
	}
	_, err = identity.NewCredential(sent[0], c.Certificate.PrivateKey.(*ecdsa.PrivateKey), sent[1:]...)
	return err
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
