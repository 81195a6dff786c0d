package uplink

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/internal/identity"
)

// newAuthority returns an authority, the credential of an agent of its, and a certificate of a server called name.
func newAuthority(t *testing.T, name string) (*identity.Authority, identity.Credential, tls.Certificate) {
	t.Helper()
	now := time.Now()
	authority, err := identity.NewAuthority(now)
	check(t, err)
	server, err := authority.ServerCertificate(t.TempDir(), []string{name}, now)
	check(t, err)
	key, err := identity.NewKey()
	check(t, err)
	cert, err := authority.IssueAgent(key.Public(), "acme", "0123456789abcdef", now)
	check(t, err)
	credential, err := authority.NewCredential(cert, key)
	check(t, err)
	return authority, credential, server
}

// answer takes TLS connections with a certificate until the test ends.
func answer(t *testing.T, c *tls.Config) (address string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", c)
	check(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

// TestHandshake says why no connection comes about, and who is in between.
func TestHandshake(t *testing.T) {
	t.Parallel()
	_, credential, server := newAuthority(t, "127.0.0.1")
	_, _, other := newAuthority(t, "127.0.0.1")
	right := answer(t, &tls.Config{Certificates: []tls.Certificate{server}, NextProtos: []string{"h2"}})
	resigned := answer(t, &tls.Config{Certificates: []tls.Certificate{other}, NextProtos: []string{"h2"}})
	old := answer(t, &tls.Config{Certificates: []tls.Certificate{server}, MaxVersion: tls.VersionTLS12})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, closed.Close())
	proxy := (&fakeProxy{}).start(t)
	shake := func(address, through string, now time.Time, name string) error {
		return Handshake(t.Context(), address, through, identity.ClientConfig(credential, name, func() time.Time { return now }))
	}
	for _, through := range []string{config.ProxyNone, proxy.String()} {
		if err := shake(right, through, time.Now(), "127.0.0.1"); err != nil {
			t.Errorf("with the server itself: %v", err)
		}
		seen, ok := errors.AsType[*InterceptedError](shake(resigned, through, time.Now(), "127.0.0.1"))
		if !ok || seen.Address != resigned || seen.Issuer != other.Leaf.Issuer.String() || (seen.Proxy == "") != (through == config.ProxyNone) {
			t.Errorf("with a certificate of somebody else: %+v", seen)
		} else if !strings.Contains(seen.Error(), "except "+resigned) || !strings.Contains(seen.Error(), seen.Proxy) {
			t.Errorf("%v", seen)
		}
		if err := shake(closed.Addr().String(), through, time.Now(), "127.0.0.1"); !errors.Is(err, ErrUnreachable) {
			t.Errorf("where nobody listens: %v", err)
		}
	}
	if err := shake(old, config.ProxyNone, time.Now(), "127.0.0.1"); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "inspects TLS") {
		t.Errorf("without TLS 1.3: %v", err)
	}
	if err := shake(right, config.ProxyNone, time.Now(), "server.example"); err == nil || !strings.Contains(err.Error(), "is called") {
		t.Errorf("of another name: %v", err)
	}
	if err := shake(right, config.ProxyNone, time.Now().AddDate(30, 0, 0), "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "does not hold") {
		t.Errorf("with a certificate that ended: %v", err)
	}
}
