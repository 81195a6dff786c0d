// Package limits bounds what one caller can hold of a server, so that none takes the night of another: connections,
// handshakes, calls at once and in time, and messages that it does not take. It refuses or cuts; it does not know what
// a call is about, and who may make it is the affair of package authz.
package limits

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// Options of [New]. Zero values are the defaults, which leave room for agents at work.
type Options struct {
	Connections            int           // open at once; 0 is 16384
	ConnectionsPerAddress  int           // of one IP address; 0 is 1024, which has room for a fleet behind one router
	ConnectionsPerCaller   int           // of one agent or person, and of callers without a certificate at one address; 0 is 32
	Handshakes             int           // begun and not finished; 0 is 512
	HandshakesPerAddress   int           // of one IP address; 0 is 64
	HandshakeTimeout       time.Duration // 0 is 10 seconds
	CallsPerCaller         int           // at once, over all connections; 0 is 512
	CallsPerCallerOfMethod int           // streams of one method at once, where the method has no limit of its own; 0 is 16
	CallsPerSecond         int           // of one caller; 0 is 100
	CallsBurst             int           // how many may come at once; 0 is ten seconds' worth
	SendTimeout            time.Duration // for which a caller may leave a message untaken; 0 is 10 minutes
	Logger                 *slog.Logger  // nil: silent
}

func (o *Options) setDefaults() {
	for value, otherwise := range map[*int]int{
		&o.Connections: 16384, &o.ConnectionsPerAddress: 1024, &o.ConnectionsPerCaller: 32, &o.Handshakes: 512, &o.HandshakesPerAddress: 64,
		&o.CallsPerCaller: 512, &o.CallsPerCallerOfMethod: 16, &o.CallsPerSecond: 100,
	} {
		if *value == 0 {
			*value = otherwise
		}
	}
	if o.CallsBurst == 0 {
		o.CallsBurst = 10 * o.CallsPerSecond
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = 10 * time.Second
	}
	if o.SendTimeout == 0 {
		o.SendTimeout = 10 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Limits are those of one server. Its methods may be called concurrently.
type Limits struct {
	options     Options
	connections connections
	callers     callers
	refused     [refusals]atomic.Int64
}

// New returns limits under which nothing is open yet.
func New(options Options) *Limits {
	options.setDefaults()
	l := &Limits{options: options}
	l.connections = connections{limits: l, addresses: map[string]*address{}, callers: map[string][]*conn{}, open: map[string]*conn{}}
	l.callers = callers{limits: l, byName: map[string]*caller{}}
	return l
}

// HandshakeTimeout returns how long a connection may take until it can be called over.
func (l *Limits) HandshakeTimeout() time.Duration { return l.options.HandshakeTimeout }

// Refusal is a way in which a caller met a limit.
type Refusal int

// The ways in which a caller meets a limit.
const (
	TooManyConnections Refusal = iota // a connection was not taken, or the caller's oldest was closed for a new one
	TooManyHandshakes                 // a connection was not taken
	TooManyCalls                      // a call was refused
	SlowReader                        // a connection was closed: a message was not taken
	refusals           = iota
)

// String returns the refusal's name in metrics.
func (r Refusal) String() string {
	return [...]string{"connections", "handshakes", "calls", "slow-reader"}[r]
}

// Refused returns how often each limit was met since the server was started.
func (l *Limits) Refused() map[Refusal]int64 {
	counts := make(map[Refusal]int64, refusals)
	for r := range l.refused {
		counts[Refusal(r)] = l.refused[r].Load()
	}
	return counts
}

func (l *Limits) count(r Refusal) { l.refused[r].Add(1) }
