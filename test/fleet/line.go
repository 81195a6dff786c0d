//go:build linux && peers

package fleet

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/time/rate"
)

const (
	// chunkBytes is how much the line carries at once.
	chunkBytes = 8 << 10
	// bufferBytes is how much the system's own buffers at its ends hold: little, so that what is on the way is on the line,
	// but more than a packet of the loopback device, or each waits for a timer.
	bufferBytes = 128 << 10
)

// Line carries TCP connections from the agent to a server, wherever that listens at the moment: that of wolkvox, or one that
// stores recordings.
type Line struct {
	listener net.Listener
	server   func() string // its address, "" while it has none
	limit    *rate.Limiter // of bytes to the agent
	back     *rate.Limiter // of bytes from the agent
	open     atomic.Bool
	onTheWay atomic.Int64 // bytes for the agent that the line holds
	carried  atomic.Int64 // bytes that the agent was given
	sent     atomic.Int64 // bytes that the server was given
	flips    atomic.Int64 // bits still to be flipped on the way to the agent
	flipped  atomic.Int64

	mu      sync.Mutex
	connsOf map[net.Conn]struct{}
	stall   chan struct{} // closed to go on; nil while nothing stalls
	group   sync.WaitGroup
}

// NewLine begins to carry, without a limit.
func NewLine(t testing.TB, server func() string) *Line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{listener: listener, server: server, limit: rate.NewLimiter(rate.Inf, chunkBytes), back: rate.NewLimiter(rate.Inf, chunkBytes), connsOf: map[net.Conn]struct{}{}}
	l.open.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	l.group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.group.Go(func() { l.carry(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		cancel()
		listener.Close()
		l.Stall(false)
		l.Cut()
		l.group.Wait()
	})
	return l
}

// Address is where the agent calls.
func (l *Line) Address() string { return l.listener.Addr().String() }

// Slow limits what the agent is given, in bytes per second; 0 is no limit.
func (l *Line) Slow(bytesPerSecond int) { slow(l.limit, bytesPerSecond) }

// SlowBack limits what the agent can send, in bytes per second; 0 is no limit.
func (l *Line) SlowBack(bytesPerSecond int) { slow(l.back, bytesPerSecond) }

func slow(limit *rate.Limiter, bytesPerSecond int) {
	if bytesPerSecond == 0 {
		limit.SetLimit(rate.Inf)
		return
	}
	limit.SetLimit(rate.Limit(bytesPerSecond))
}

// Cut ends all connections that there are.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.connsOf {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not an orderly end
		}
		conn.Close()
	}
}

// Close ends all connections and refuses new ones until Open.
func (l *Line) Close() {
	l.open.Store(false)
	l.Cut()
}

// Open takes connections again.
func (l *Line) Open() { l.open.Store(true) }

// Stall holds up everything on the line, or lets it go on. Connections stay.
func (l *Line) Stall(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case on && l.stall == nil:
		l.stall = make(chan struct{})
	case !on && l.stall != nil:
		close(l.stall)
		l.stall = nil
	}
}

// Flip has one bit of each of the next chunks flipped on the way to the agent.
func (l *Line) Flip(chunks int64) { l.flips.Store(chunks) }

// Flipped returns how many bits were flipped.
func (l *Line) Flipped() int64 { return l.flipped.Load() }

// OnTheWay returns how many bytes the line holds for the agent at this moment.
func (l *Line) OnTheWay() int64 { return l.onTheWay.Load() }

// Carried returns how many bytes the agent was given.
func (l *Line) Carried() int64 { return l.carried.Load() }

// Sent returns how many bytes the server was given.
func (l *Line) Sent() int64 { return l.sent.Load() }

func (l *Line) carry(ctx context.Context, agent net.Conn) {
	defer agent.Close()
	address := l.server()
	if !l.open.Load() || address == "" {
		return
	}
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	if !l.add(agent, server) {
		return
	}
	defer l.remove(agent, server)
	_ = errors.Join(server.(*net.TCPConn).SetReadBuffer(bufferBytes), agent.(*net.TCPConn).SetWriteBuffer(bufferBytes))
	var both sync.WaitGroup
	both.Go(func() {
		l.copy(ctx, server, agent, false)
		server.Close()
		agent.Close()
	})
	l.copy(ctx, agent, server, true)
	server.Close()
	agent.Close()
	both.Wait()
}

func (l *Line) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open.Load() {
		return false
	}
	for _, conn := range conns {
		l.connsOf[conn] = struct{}{}
	}
	return true
}

func (l *Line) remove(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		delete(l.connsOf, conn)
	}
}

// copy carries one direction until either end is gone.
func (l *Line) copy(ctx context.Context, to io.Writer, from io.Reader, toAgent bool) {
	buf := make([]byte, chunkBytes)
	for {
		n, err := from.Read(buf)
		if n > 0 && !l.pass(ctx, to, buf[:n], toAgent) || err != nil {
			return
		}
	}
}

func (l *Line) pass(ctx context.Context, to io.Writer, data []byte, toAgent bool) bool {
	l.mu.Lock()
	stall := l.stall
	l.mu.Unlock()
	if stall != nil {
		<-stall
	}
	if toAgent {
		l.onTheWay.Add(int64(len(data)))
		defer l.onTheWay.Add(-int64(len(data)))
		if l.limit.WaitN(ctx, len(data)) != nil {
			return false
		}
		l.disturb(data)
	} else if l.back.WaitN(ctx, len(data)) != nil {
		return false
	}
	if _, err := to.Write(data); err != nil {
		return false
	}
	if toAgent {
		l.carried.Add(int64(len(data)))
	} else {
		l.sent.Add(int64(len(data)))
	}
	return true
}

func (l *Line) disturb(data []byte) {
	for left := l.flips.Load(); left > 0; left = l.flips.Load() {
		if l.flips.CompareAndSwap(left, left-1) {
			data[rand.IntN(len(data))] ^= 1 << rand.IntN(8)
			l.flipped.Add(1)
			return
		}
	}
}
