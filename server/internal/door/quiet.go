package door

import (
	"net"
	"sync/atomic"
	"time"
)

// writeTimeout is how long the network may refuse to take what is sent.
const writeTimeout = 2 * time.Minute

// quietConn is a connection that ends where its login takes too long, where nothing was heard for too long behind that, and
// where the other side does not take what is sent.
type quietConn struct {
	net.Conn
	until time.Time    // for the login
	idle  atomic.Int64 // nanoseconds; 0 before the login
}

// loggedIn says that the login is done.
func (c *quietConn) loggedIn(idle time.Duration) { c.idle.Store(int64(idle)) }

// Read implements net.Conn.
func (c *quietConn) Read(p []byte) (int, error) {
	until := c.until
	if idle := c.idle.Load(); idle != 0 {
		until = time.Now().Add(time.Duration(idle))
	}
	if err := c.SetReadDeadline(until); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write implements net.Conn.
func (c *quietConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
