package uplink

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/config"
)

// fakeProxy is an HTTP proxy that opens tunnels, for one user where credentials are set.
type fakeProxy struct {
	credentials string // USER:PASSWORD, or none
	refuse      int    // a status instead of a tunnel

	mu     sync.Mutex
	asked  []string // the addresses
	busy   sync.WaitGroup
	opened []net.Conn
}

func (p *fakeProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.credentials)); p.credentials != "" && r.Header.Get("Proxy-Authorization") != want {
		w.Header().Set("Proxy-Authenticate", `Basic realm="x"`)
		http.Error(w, strings.Repeat("give a password ", 10000), http.StatusProxyAuthRequired)
		return
	}
	if p.refuse != 0 {
		http.Error(w, "no", p.refuse)
		return
	}
	target, err := net.Dial("tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	p.mu.Lock()
	p.opened = append(p.opened, client, target)
	p.mu.Unlock()
	io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	p.busy.Go(func() { io.Copy(target, client); target.Close() })
	p.busy.Go(func() { io.Copy(client, target); client.Close() })
}

func (p *fakeProxy) start(t *testing.T) *url.URL {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		server.Close()
		for _, conn := range p.opened {
			conn.Close()
		}
		p.busy.Wait()
	})
	u, err := url.Parse(server.URL)
	check(t, err)
	return u
}

// echo returns the address of a server that says back what it hears.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			busy.Go(func() { io.Copy(conn, conn); conn.Close() })
		}
	})
	t.Cleanup(func() { listener.Close(); busy.Wait() })
	return listener.Addr().String()
}

// talk dials through the proxy setting, and says a word.
func talk(ctx context.Context, proxy, address string) error {
	d, err := newDialer(proxy)
	if err != nil {
		return err
	}
	conn, err := d.dial(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		return err
	}
	if heard, err := bufio.NewReader(conn).ReadString('\n'); err != nil || heard != "hello\n" {
		return errors.Join(errors.New("heard "+heard), err)
	}
	return nil
}

func TestProxy(t *testing.T) {
	t.Parallel()
	address := echo(t)
	for name, test := range map[string]struct {
		proxy *fakeProxy
		user  *url.Userinfo
		words string // of the error; none where it works
	}{
		"plain":          {proxy: &fakeProxy{}},
		"password":       {proxy: &fakeProxy{credentials: "joe:s:ecret"}, user: url.UserPassword("joe", "s:ecret")},
		"no password":    {proxy: &fakeProxy{credentials: "joe:secret"}, words: "put them into the proxy URL"},
		"wrong password": {proxy: &fakeProxy{credentials: "joe:secret"}, user: url.UserPassword("joe", "hunter2"), words: "refuses the user and password"},
		"forbidden":      {proxy: &fakeProxy{refuse: http.StatusForbidden}, words: "403"},
		"bad gateway":    {proxy: &fakeProxy{refuse: http.StatusBadGateway}, words: "502"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := test.proxy.start(t)
			u.User = test.user
			err := talk(t.Context(), u.String(), address)
			if test.words == "" && err != nil || test.words != "" && (err == nil || !strings.Contains(err.Error(), test.words)) {
				t.Errorf("through the proxy: %v, want %q", err, test.words)
			}
			if err != nil && (!strings.Contains(err.Error(), u.Host) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("%q does not name the proxy %s, or shows its password", err, u.Host)
			}
			if len(test.proxy.asked) != 1 || test.proxy.asked[0] != "CONNECT "+address {
				t.Errorf("the proxy was asked for %q", test.proxy.asked)
			}
		})
	}
}

// TestDialThroughProxy sees that gRPC uses the dialer's proxy, and only it.
func TestDialThroughProxy(t *testing.T) {
	proxy := &fakeProxy{refuse: http.StatusForbidden}
	own := proxy.start(t).String()
	other := &fakeProxy{refuse: http.StatusForbidden}
	t.Setenv("HTTPS_PROXY", other.start(t).String())
	t.Setenv("NO_PROXY", "")
	for setting, want := range map[string]*fakeProxy{own: proxy, config.ProxyEnvironment: other} {
		conn, err := Dial("server.example:443", setting, nil)
		check(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err = NewClient(conn, &ServerClock{}).Heartbeat(ctx, Self{Version: "test"}, nil)
		cancel()
		check(t, conn.Close())
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "403") {
			t.Errorf("with %s: %v, want ErrUnreachable and the proxy's answer", setting, err)
		}
		want.mu.Lock()
		if len(want.asked) == 0 || want.asked[0] != "CONNECT server.example:443" {
			t.Errorf("with %s the proxy was asked for %q", setting, want.asked)
		}
		want.mu.Unlock()
	}
}

func TestProxyFromEnvironment(t *testing.T) {
	proxy := &fakeProxy{refuse: http.StatusBadGateway}
	t.Setenv("HTTPS_PROXY", proxy.start(t).String())
	t.Setenv("https_proxy", "")
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	d, err := newDialer(config.ProxyEnvironment)
	check(t, err)
	// The loopback is never reached through a proxy of the environment, so look at a refused name.
	if _, err := d.dial(t.Context(), "server.invalid:443"); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("through the environment's proxy: %v, want its 502", err)
	}
	if err := talk(t.Context(), config.ProxyNone, echo(t)); err != nil {
		t.Errorf("without a proxy: %v", err)
	}
	if len(proxy.asked) != 1 {
		t.Errorf("the proxy was asked for %q, want one", proxy.asked)
	}
	t.Setenv("NO_PROXY", "server.invalid")
	d, err = newDialer(config.ProxyEnvironment)
	check(t, err)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.dial(over, "server.invalid:443"); err == nil || len(proxy.asked) != 1 {
		t.Errorf("a server in NO_PROXY is reached with %v, proxy asked for %q", err, proxy.asked)
	}
	t.Setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
	d, err = newDialer(config.ProxyEnvironment)
	check(t, err)
	if _, err := d.dial(t.Context(), "server.example:443"); err == nil || !strings.Contains(err.Error(), "socks5") {
		t.Errorf("a proxy of another kind: %v", err)
	}
}

// oddProxy answers every connection with fixed bytes, and reads on.
func oddProxy(t *testing.T, answer string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			busy.Go(func() {
				defer conn.Close()
				io.WriteString(conn, answer)
				io.Copy(io.Discard, conn)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); busy.Wait() })
	return "http://" + listener.Addr().String()
}

func TestOddProxy(t *testing.T) {
	t.Parallel()
	address := "server.example:443"
	for name, test := range map[string]struct{ answer, words string }{
		"data of its own":      {"HTTP/1.1 200 OK\r\n\r\n<html>", "data of its own"},
		"no HTTP":              {"SSH-2.0-OpenSSH\r\n\r\n", "tunnel to " + address},
		"endless header":       {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxProxyAnswer), "tunnel to " + address},
		"body that stays away": {"HTTP/1.1 407 Auth\r\nContent-Length: 1000000\r\n\r\n", "407"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := talk(ctx, oddProxy(t, test.answer), address); err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("%v, want %q", err, test.words)
			}
			if ctx.Err() != nil {
				t.Error("it waited for the end of its time")
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := talk(ctx, oddProxy(t, ""), address); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of the call's time", err)
		}
	})
	t.Run("away", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		listener.Close()
		if err := talk(t.Context(), "http://"+listener.Addr().String(), address); err == nil || !strings.Contains(err.Error(), "reach the proxy") {
			t.Errorf("%v, want that the proxy is not reached", err)
		}
	})
}

// TestProxyOverTLS speaks TLS to the proxy itself; one that is not trusted is refused before it learns the password.
func TestProxyOverTLS(t *testing.T) {
	t.Parallel()
	proxy := &fakeProxy{}
	server := httptest.NewUnstartedServer(proxy)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	check(t, err)
	u.User = url.UserPassword("joe", "hunter2")
	err = talk(t.Context(), u.String(), "server.example:443")
	if err == nil || !strings.Contains(err.Error(), "certificate") || len(proxy.asked) != 0 {
		t.Errorf("%v, asked for %q; want an unknown certificate and nothing asked", err, proxy.asked)
	}
}
