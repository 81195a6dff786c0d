package door

import (
	"net"
	"sync"
	"time"
)

// writeTimeout is how long the network may refuse to take what is sent.
const writeTimeout = 2 * time.Minute

// quietConn is a connection that ends where its login takes too long, where nothing was heard for too long behind that, and
// where the other side does not take what is sent.
type quietConn struct {
	net.Conn
	until time.Time // for the login

	mu   sync.Mutex    // held while the deadline is set
	idle time.Duration // 0 before the login
}

// loggedIn says that the login is done. What is already being waited for has until idle from now.
func (c *quietConn) loggedIn(idle time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = idle
	c.SetReadDeadline(time.Now().Add(idle)) // where the connection is gone, reading says so
}

// Read implements net.Conn.
func (c *quietConn) Read(p []byte) (int, error) {
	if err := c.wait(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// wait sets until when something has to be heard.
func (c *quietConn) wait() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == 0 {
		return c.SetReadDeadline(c.until)
	}
	return c.SetReadDeadline(time.Now().Add(c.idle))
}

// Write implements net.Conn.
func (c *quietConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
