package limits

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/wolkvox/backup/internal/identity"
)

// writeTimeout is how long the network may refuse to take what is written to a connection. It cuts callers that send
// and never read, which answer to no keepalive ping because they are never found silent.
const writeTimeout = 2 * time.Minute

// connections are those that are open.
type connections struct {
	limits *Limits

	mu        sync.Mutex // guards what follows, and the fields of conn that say so
	total     int
	shaking   int
	addresses map[string]*address
	callers   map[string][]*conn // whose handshake is done, the oldest first
	open      map[string]*conn   // by the other side's address and port
}

// address is what one IP address holds.
type address struct{ open, shaking int }

// conn is a connection that is counted until it is closed.
type conn struct {
	net.Conn
	connections *connections
	ip          string
	release     func()
	deadline    atomic.Int64 // for writes, as others asked for it, in nanoseconds since 1970; 0 for none

	shaking bool   // guarded by connections.mu
	caller  string // guarded by connections.mu; empty before the handshake is done
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	until := time.Now().Add(writeTimeout)
	if asked := c.deadline.Load(); asked != 0 && asked < until.UnixNano() {
		until = time.Unix(0, asked)
	}
	if err := c.Conn.SetWriteDeadline(until); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.ask(t)
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.ask(t)
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) ask(t time.Time) {
	if t.IsZero() {
		c.deadline.Store(0)
		return
	}
	c.deadline.Store(t.UnixNano())
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.release()
	return c.Conn.Close()
}

// Listener returns a listener that takes connections from inner and closes at once those that are beyond the limits.
func (l *Limits) Listener(inner net.Listener) net.Listener {
	return &listener{inner, &l.connections}
}

type listener struct {
	net.Listener
	connections *connections
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.connections.admit(accepted); c != nil {
			return c, nil
		}
		accepted.Close()
	}
}

// admit counts a new connection, or returns nil where it is one too many.
func (s *connections) admit(accepted net.Conn) *conn {
	ip := ipOf(accepted.RemoteAddr())
	o := &s.limits.options
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.addresses[ip]
	if held == nil {
		held = &address{}
	}
	switch {
	case s.total >= o.Connections || held.open >= o.ConnectionsPerAddress:
		s.limits.count(TooManyConnections)
		return nil
	case s.shaking >= o.Handshakes || held.shaking >= o.HandshakesPerAddress:
		s.limits.count(TooManyHandshakes)
		return nil
	}
	c := &conn{Conn: accepted, connections: s, ip: ip, shaking: true}
	c.release = sync.OnceFunc(func() { s.leave(c) })
	s.addresses[ip] = held
	s.open[accepted.RemoteAddr().String()] = c
	s.total++
	s.shaking++
	held.open++
	held.shaking++
	return c
}

func (s *connections) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shaken(c)
	s.total--
	held := s.addresses[c.ip]
	if held.open--; held.open == 0 {
		delete(s.addresses, c.ip)
	}
	if name := c.RemoteAddr().String(); s.open[name] == c {
		delete(s.open, name)
	}
	if mine := slices.DeleteFunc(s.callers[c.caller], func(other *conn) bool { return other == c }); len(mine) > 0 {
		s.callers[c.caller] = mine
	} else {
		delete(s.callers, c.caller)
	}
}

// shaken takes down that the handshake of c is over. s.mu is held.
func (s *connections) shaken(c *conn) {
	if c.shaking {
		c.shaking = false
		s.shaking--
		s.addresses[c.ip].shaking--
	}
}

// identified counts c to its caller. Where that has too many the oldest is closed: what a caller lost without a word is
// older than what it opens in its place.
func (s *connections) identified(c *conn, caller string) {
	s.mu.Lock()
	s.shaken(c)
	c.caller = caller
	mine := append(s.callers[caller], c)
	s.callers[caller] = mine
	var oldest *conn
	if len(mine) > s.limits.options.ConnectionsPerCaller {
		oldest = mine[0]
	}
	s.mu.Unlock()
	if oldest != nil {
		s.limits.count(TooManyConnections)
		oldest.Close()
	}
}

// closeOf closes the connection over which the call of ctx came.
func (s *connections) closeOf(ctx context.Context) {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return
	}
	s.mu.Lock()
	c := s.open[from.Addr.String()]
	s.mu.Unlock()
	if c != nil {
		c.Close()
	}
}

// Credentials returns inner, by which handshakes over connections of [Limits.Listener] tell whose they are.
func (l *Limits) Credentials(inner credentials.TransportCredentials) credentials.TransportCredentials {
	return &transport{inner, &l.connections}
}

type transport struct {
	credentials.TransportCredentials
	connections *connections
}

// ServerHandshake implements credentials.TransportCredentials.
func (t *transport) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secure, info, err := t.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	c, ok := raw.(*conn)
	if !ok {
		return nil, nil, fmt.Errorf("the connection from %s is not one of the limiting listener", raw.RemoteAddr())
	}
	t.connections.identified(c, callerOf(peer.NewContext(context.Background(), &peer.Peer{Addr: raw.RemoteAddr(), AuthInfo: info})))
	return secure, info, nil
}

// Clone implements credentials.TransportCredentials.
func (t *transport) Clone() credentials.TransportCredentials {
	return &transport{t.TransportCredentials.Clone(), t.connections}
}

// callerOf names who made a call: the role of the certificate shown, or else the address.
func callerOf(ctx context.Context) string {
	if role, err := identity.RoleFromContext(ctx); err == nil {
		return role.String()
	}
	from, ok := peer.FromContext(ctx)
	if !ok {
		return "nowhere"
	}
	return "address " + ipOf(from.Addr)
}

func ipOf(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}

// Open returns how many connections are open.
func (l *Limits) Open() int {
	l.connections.mu.Lock()
	defer l.connections.mu.Unlock()
	return l.connections.total
}
