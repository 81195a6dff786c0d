package sftpdest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// line is one SSH connection, watched: one that is dead, or whose SFTP no longer answers, is closed, and whatever waits for
// it ends.
type line struct {
	conn   *meteredConn
	client *ssh.Client
	timing timing

	pending  atomic.Int64 // requests on their way
	finished atomic.Int64 // when the last one came back, or the first one began: nanoseconds since 1970

	mu   sync.Mutex
	lost error // why it was closed; nil while it is not

	over  chan struct{} // closed when the connection has ended
	end   error         // of the connection; set before over is closed
	group sync.WaitGroup
}

func newLine(conn *meteredConn, client *ssh.Client, t timing) *line {
	l := &line{conn: conn, client: client, timing: t, over: make(chan struct{})}
	l.group.Go(func() {
		l.end = client.Wait()
		close(l.over)
	})
	l.group.Go(l.watch)
	return l
}

// close ends the connection and waits for what belongs to it.
func (l *line) close() {
	l.lose(net.ErrClosed)
	l.group.Wait()
}

// lose closes the connection because of cause, and returns why it was closed first: the reason that the server gave where
// it gave one.
func (l *line) lose(cause error) error {
	l.mu.Lock()
	if l.lost == nil {
		l.lost = cause
	}
	lost := l.lost
	l.mu.Unlock()
	l.conn.Close()
	<-l.over
	if reason, ok := withReason(l.end); ok {
		return reason
	}
	if l.conn.broken() && l.end != nil {
		return fmt.Errorf("the connection broke: %w: %w", l.end, lost) // the library's own error has no code
	}
	return lost
}

// answers asks the server anything at all, and reports whether it answered. It may take until watch finds the line dead.
func (l *line) answers() bool {
	_, _, err := l.client.SendRequest("keepalive@openssh.com", true, nil)
	return err == nil
}

// watch closes a connection that is dead.
func (l *line) watch() {
	tick := time.NewTicker(l.timing.keepalive)
	defer tick.Stop()
	var asking atomic.Bool
	for {
		select {
		case <-l.over:
			return
		case <-tick.C:
		}
		if silent := time.Since(l.conn.lastRead()); silent > l.timing.dead {
			l.lose(silence("nothing came from the server for %v", l.timing.dead))
			return
		}
		if l.pending.Load() > 0 && time.Since(time.Unix(0, l.finished.Load())) > l.timing.stalled {
			l.lose(silence("the server answers, but its SFTP has not for %v", l.timing.stalled))
			return
		}
		if !asking.Swap(true) {
			l.group.Go(func() {
				// Whatever the answer is, and most refuse: it came.
				l.client.SendRequest("keepalive@openssh.com", true, nil)
				asking.Store(false)
			})
		}
	}
}

func silence(format string, d time.Duration) error {
	return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeServerSilent, Cause: fmt.Errorf(format, d)}
}

// begin notes that a request begins, and returns what notes that it has come back.
func (l *line) begin() (end func()) {
	if l.pending.Add(1) == 1 {
		l.finished.Store(time.Now().UnixNano())
	}
	return func() {
		l.finished.Store(time.Now().UnixNano())
		l.pending.Add(-1)
	}
}

// beginWithin is begin, and closes the connection where the request is still on its way some time after ctx has ended:
// requests cannot be taken back.
func (l *line) beginWithin(ctx context.Context) (end func()) {
	returned := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(l.timing.grace)
		defer timer.Stop()
		select {
		case <-returned:
		case <-timer.C:
			l.lose(context.Cause(ctx))
		}
	})
	endRequest := l.begin()
	return func() {
		close(returned)
		stop()
		endRequest()
	}
}

// disconnectReasons are the names of RFC 4253 section 11.1.
var disconnectReasons = map[int64]string{
	1: "HOST_NOT_ALLOWED_TO_CONNECT", 2: "PROTOCOL_ERROR", 3: "KEY_EXCHANGE_FAILED", 5: "MAC_ERROR", 6: "COMPRESSION_ERROR",
	7: "SERVICE_NOT_AVAILABLE", 8: "PROTOCOL_VERSION_NOT_SUPPORTED", 9: "HOST_KEY_NOT_VERIFIABLE", 10: "CONNECTION_LOST",
	11: "BY_APPLICATION", 12: "TOO_MANY_CONNECTIONS", 13: "AUTH_CANCELLED_BY_USER", 14: "NO_MORE_AUTH_METHODS_AVAILABLE",
	15: "ILLEGAL_USER_NAME",
}

// withReason gives err the code with which the server ended the connection, and reports whether there is one. The library
// has it in the text of an unexported type only.
func withReason(err error) (error, bool) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		var reason int64
		if n, _ := fmt.Sscanf(e.Error(), "ssh: disconnect, reason %d:", &reason); n == 1 {
			return &dest.CodeError{Space: dest.SpaceSSH, Number: reason, Name: disconnectReasons[reason], Cause: err}, true
		}
	}
	return err, false
}

// meteredConn notes what comes over a connection.
type meteredConn struct {
	net.Conn
	read   atomic.Int64 // when the last bytes came: nanoseconds since 1970
	failed atomic.Bool  // the connection broke, and was not closed at this end

	mu    sync.Mutex
	first []byte // what came first, up to the server's greeting; a server may have lines before it (RFC 4253 section 4.2)
}

const firstBytes = 4096

func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.answered()
		c.mu.Lock()
		if len(c.first) < firstBytes {
			c.first = append(c.first, p[:min(n, firstBytes-len(c.first))]...)
		}
		c.mu.Unlock()
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		c.failed.Store(true)
	}
	return n, err
}

func (c *meteredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		c.failed.Store(true)
	}
	return n, err
}

func (c *meteredConn) answered()           { c.read.Store(time.Now().UnixNano()) }
func (c *meteredConn) lastRead() time.Time { return time.Unix(0, c.read.Load()) }
func (c *meteredConn) broken() bool        { return c.failed.Load() }

// speaksSSH reports that what came first may be an SSH server's: its greeting, or nothing at all.
func (c *meteredConn) speaksSSH() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.first) == 0 || bytes.Contains(c.first, []byte("SSH-2.0-")) || bytes.Contains(c.first, []byte("SSH-1.99-"))
}
