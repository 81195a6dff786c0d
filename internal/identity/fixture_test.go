package identity_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
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
