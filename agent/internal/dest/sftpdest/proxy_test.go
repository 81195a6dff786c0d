//go:build linux && peers

package sftpdest_test

import (
	"net"
	"sync"
	"testing"
)

// proxy carries TCP connections to a server, and can cut and stall them.
type proxy struct {
	address string

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	left  int64         // bytes until everything is cut; negative: never
	stall chan struct{} // closed to go on; nil while nothing stalls
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: listener.Addr().String(), conns: make(map[net.Conn]struct{}), left: -1}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.conns[client], p.conns[server] = struct{}{}, struct{}{}
			p.mu.Unlock()
			for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
				group.Go(func() { p.carry(pair[0], pair[1]) })
			}
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.setStall(false)
		p.cut()
		group.Wait()
	})
	return p
}

func (p *proxy) carry(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 8<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		stall, cut := p.stall, false
		if p.left >= 0 {
			p.left -= int64(n)
			cut = p.left < 0
		}
		p.mu.Unlock()
		if stall != nil {
			<-stall
		}
		if cut {
			p.cut()
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cutAfter resets everything after so many bytes, once.
func (p *proxy) cutAfter(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = bytes
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	clear(p.conns)
	p.left = -1
}

func (p *proxy) setStall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.stall == nil:
		p.stall = make(chan struct{})
	case !on && p.stall != nil:
		close(p.stall)
		p.stall = nil
	}
}
