package uplink

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpproxy"

	"github.com/wolkvox/backup/agent/internal/config"
)

// dialer connects to the server, through an HTTP proxy where one is set.
type dialer struct {
	net   net.Dialer
	proxy func(*url.URL) (*url.URL, error)
}

func newDialer(proxy string) (*dialer, error) {
	switch proxy {
	case config.ProxyNone:
		return &dialer{proxy: func(*url.URL) (*url.URL, error) { return nil, nil }}, nil
	case config.ProxyEnvironment:
		return &dialer{proxy: httpproxy.FromEnvironment().ProxyFunc()}, nil
	}
	u, err := url.Parse(proxy)
	if err != nil {
		return nil, errors.New("the proxy of the configuration is no URL")
	}
	return &dialer{proxy: func(*url.URL) (*url.URL, error) { return u, nil }}, nil
}

func (d *dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	proxy, err := d.proxy(&url.URL{Scheme: "https", Host: address})
	if err != nil {
		return nil, fmt.Errorf("read the proxy settings: %w", err)
	}
	if proxy == nil {
		return d.net.DialContext(ctx, "tcp", address)
	}
	conn, err := d.dialProxy(ctx, proxy)
	if err != nil {
		return nil, fmt.Errorf("reach the proxy %s: %w", proxy.Host, err)
	}
	tunnel, err := connect(ctx, conn, proxy, address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("through the proxy %s: %w", proxy.Host, err), conn.Close())
	}
	return tunnel, nil
}

func (d *dialer) dialProxy(ctx context.Context, proxy *url.URL) (net.Conn, error) {
	address := func(port string) string {
		return net.JoinHostPort(proxy.Hostname(), cmp.Or(proxy.Port(), port))
	}
	switch proxy.Scheme {
	case "http":
		return d.net.DialContext(ctx, "tcp", address("80"))
	case "https":
		return (&tls.Dialer{NetDialer: &d.net}).DialContext(ctx, "tcp", address("443"))
	}
	return nil, fmt.Errorf("it is of the kind %q; http and https are understood", proxy.Scheme)
}

// maxProxyAnswer bounds what a proxy may say before the tunnel is open.
const maxProxyAnswer = 64 << 10

// connect asks the proxy for a tunnel (RFC 9110, section 9.3.6).
func connect(ctx context.Context, conn net.Conn, proxy *url.URL, address string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: make(http.Header)}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		credentials := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		request.Header.Set("Proxy-Authorization", "Basic "+credentials)
	}
	reader := bufio.NewReader(io.LimitReader(conn, maxProxyAnswer))
	err := request.Write(conn)
	var response *http.Response // its body is not read: the connection is closed, or the tunnel's
	if err == nil {
		response, err = http.ReadResponse(reader, request)
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("ask it for a tunnel to %s: %w", address, err)
	case response.StatusCode == http.StatusProxyAuthRequired && proxy.User != nil:
		return nil, errors.New("it refuses the user and password of the proxy URL (407)")
	case response.StatusCode == http.StatusProxyAuthRequired:
		return nil, errors.New("it asks for a user and password (407); put them into the proxy URL")
	case response.StatusCode/100 != 2:
		return nil, fmt.Errorf("it refuses a tunnel to %s (%s); have it allowed without inspection of TLS", address, response.Status)
	case reader.Buffered() > 0:
		return nil, errors.New("it sent data of its own into the tunnel")
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	return conn, nil
}
