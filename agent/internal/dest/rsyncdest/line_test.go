//go:build peers

package rsyncdest_test

import (
	"net"
	"sync"
	"testing"
)

// line is a connection to a server that does something at a byte.
type line struct {
	address string
	server  string

	mu    sync.Mutex // guards what follows
	left  int64      // bytes until do runs
	do    func()
	conns map[net.Conn]struct{}
	group sync.WaitGroup
}

// newLine forwards connections to a server; it ends with the test.
func newLine(t *testing.T, server string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{address: listener.Addr().String(), server: server, left: 1 << 60, do: func() {}, conns: make(map[net.Conn]struct{})}
	l.group.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", l.server)
			if err != nil {
				near.Close()
				continue
			}
			l.mu.Lock()
			l.conns[near], l.conns[far] = struct{}{}, struct{}{}
			l.mu.Unlock()
			l.group.Go(func() { l.forward(near, far) })
			l.group.Go(func() { l.forward(far, near) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.cut()
		l.group.Wait()
	})
	return l
}

// onBytes lets do run once when so many further bytes have come.
func (l *line) onBytes(n int64, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.do = n, do
}

// cut resets all connections.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	clear(l.conns)
}

func (l *line) forward(from, to net.Conn) {
	buf := make([]byte, 8<<10)
	for {
		n, err := from.Read(buf)
		l.mu.Lock()
		before := l.left
		l.left -= int64(n)
		do := l.do
		l.mu.Unlock()
		if before >= 0 && before < int64(n) {
			to.Write(buf[:before])
			do()
			n = 0
		}
		if _, writeErr := to.Write(buf[:n]); writeErr != nil {
			from.Close()
			break
		}
		if err != nil {
			break
		}
	}
	to.(*net.TCPConn).CloseWrite() // each direction ends by itself, as between the two programs
}
