package enroll

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/peer"

	"github.com/wolkvox/backup/internal/identity"
)

// How often may be asked to be let in. A secret cannot be guessed whatever these are; they bound what answering costs, and
// have room for a site with many agents behind one address that all enrol at once.
const (
	perAddress      rate.Limit = 1 // per second
	perAddressBurst            = 60
	inAll           rate.Limit = 20 // per second, over all addresses
	inAllBurst                 = 300
	// How often an agent may renew: each time is a write that waits for the disk, and every agent's next call waits with it.
	renewals      rate.Limit = 1.0 / 60 // per second
	renewalsBurst            = 10
	// maxAddresses bounds what is remembered. Addresses beyond them share what all have.
	maxAddresses = 4096
)

// limits say whether somebody may ask now. The zero value is not ready.
type limits struct {
	mu        sync.Mutex
	all       *rate.Limiter
	addresses map[netip.Prefix]*rate.Limiter
	agents    map[identity.Role]*rate.Limiter // that renewed; no more than were let in
}

func newLimits() *limits {
	return &limits{
		all: rate.NewLimiter(inAll, inAllBurst), addresses: make(map[netip.Prefix]*rate.Limiter), agents: make(map[identity.Role]*rate.Limiter),
	}
}

// waitToRenew returns 0 where an agent may renew now, and otherwise in how long it may.
func (l *limits) waitToRenew(agent identity.Role, at time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.agents[agent]
	if own == nil {
		own = rate.NewLimiter(renewals, renewalsBurst)
		l.agents[agent] = own
	}
	if own.AllowN(at, 1) {
		return 0
	}
	return until(own, at)
}

// wait returns 0 where a caller at that address may ask now, and otherwise in how long it may.
func (l *limits) wait(address netip.Addr, at time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all.TokensAt(at) < 1 {
		return until(l.all, at)
	}
	own := l.of(network(address), at)
	if own != nil && own.TokensAt(at) < 1 {
		return until(own, at)
	}
	l.all.AllowN(at, 1)
	if own != nil {
		own.AllowN(at, 1)
	}
	return 0
}

// of returns the limiter of a network, nil where no more can be remembered. Those that are full again are as good as
// forgotten.
func (l *limits) of(n netip.Prefix, at time.Time) *rate.Limiter {
	if known, ok := l.addresses[n]; ok {
		return known
	}
	if len(l.addresses) >= maxAddresses {
		for other, limiter := range l.addresses {
			if limiter.TokensAt(at) >= perAddressBurst {
				delete(l.addresses, other)
			}
		}
	}
	if len(l.addresses) >= maxAddresses {
		return nil
	}
	limiter := rate.NewLimiter(perAddress, perAddressBurst)
	l.addresses[n] = limiter
	return limiter
}

// until returns in how long a limiter has room for one more.
func until(l *rate.Limiter, at time.Time) time.Duration {
	missing := 1 - l.TokensAt(at)
	return time.Duration(missing/float64(l.Limit())*float64(time.Second)).Round(time.Second) + time.Second
}

// network returns what counts as one address: of IPv6 the 64 bits that one site has at least (RFC 6177 §2).
func network(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, _ := address.Prefix(bits) // of a good address, and the zero Prefix of none
	return prefix
}

// addressOf returns where a caller is, and the zero Addr where that is not known.
func addressOf(ctx context.Context) netip.Addr {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return netip.Addr{}
	}
	tcp, ok := caller.Addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	address, _ := netip.AddrFromSlice(tcp.IP)
	return address
}
