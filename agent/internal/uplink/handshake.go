package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// InterceptedError says that the certificate that was presented in the server's name is not of the authority that the agent
// enrolled with: something on the way opens TLS, or the address is of another server.
type InterceptedError struct {
	Address string // of the server
	Issuer  string // who issued the certificate that was presented
	Proxy   string // the host and port of the proxy in between; empty where none is configured
}

// Error names who is in between and what to ask of its administrator.
func (e *InterceptedError) Error() string {
	between := "a proxy or firewall on the way opens the connection"
	if e.Proxy != "" {
		between = fmt.Sprintf("the proxy %s, or a firewall behind it, opens the connection", e.Proxy)
	}
	return fmt.Sprintf("what answers as %s shows a certificate issued by %q, not by wolkvox's own authority: %s: ask its administrator "+
		"to except %s from TLS inspection (the agent uses TLS 1.3 with a certificate of its own, which an inspecting proxy cannot show)",
		e.Address, e.Issuer, between, e.Address)
}

// Handshake connects to the server at address as [Dial] would, and says why that does not work: an [*InterceptedError], an
// [ErrUnreachable], or what TLS found wrong. It asks the server nothing.
func Handshake(ctx context.Context, address, proxy string, config *tls.Config) error {
	d, err := newDialer(proxy)
	if err != nil {
		return err
	}
	conn, err := d.dial(ctx, address)
	if err != nil {
		return fmt.Errorf("%w at %s: %w: check the name, the port, the firewall and the proxy", ErrUnreachable, address, err)
	}
	defer conn.Close()
	config = config.Clone()
	config.NextProtos = []string{"h2"} // as gRPC wants it
	err = tls.Client(conn, config).HandshakeContext(ctx)
	if err == nil {
		return nil
	}
	seen, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(seen.UnverifiedCertificates) == 0 {
		return fmt.Errorf("%w at %s: TLS did not come about: %w: check whether a proxy or firewall on the way inspects TLS", ErrUnreachable, address, err)
	}
	leaf := seen.UnverifiedCertificates[0]
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return &InterceptedError{Address: address, Issuer: leaf.Issuer.String(), Proxy: d.hostOf(address)}
	}
	if _, other := errors.AsType[x509.HostnameError](err); other {
		return fmt.Errorf("the server at %s is wolkvox's, but is called %s: ask wolkvox for its right address", address, strings.Join(leaf.DNSNames, ", "))
	}
	return fmt.Errorf("the certificate of the server at %s does not hold: %w: tell wolkvox", address, err)
}

// hostOf returns the host and port of the proxy that stands before an address, empty where none does.
func (d *dialer) hostOf(address string) string {
	proxy, err := d.proxy(&url.URL{Scheme: "https", Host: address})
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host
}
