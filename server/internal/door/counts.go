package door

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/wolkvox/backup/server/internal/registry"
)

// Stats are what went through a door since it was made.
type Stats struct {
	Connections int   // open now, also those that are not logged in
	Logins      int64 // that were let in
	Refused     int64 // connections that were closed before the login, or that limits did not let in
	Files       int64 // that were opened
	Bytes       int64 // of files, sent
}

var (
	errTooManyConnections = errors.New("there are too many connections")
	errTooManyOpen        = errors.New("too many files and folders are open on this connection; close some first")
	errTooManyToday       = errors.New("too many files were opened through the door in 24 hours; go on later")
)

// keyID is a key that somebody is let in by.
type keyID struct{ tenant, fingerprint string }

func idOf(k registry.DoorKey) keyID { return keyID{k.Tenant, k.Fingerprint} }

// counts hold what is open, and what the limits are about.
type counts struct {
	limits Limits

	mu        sync.Mutex // guards what follows
	numbers   Stats
	shaking   int // connections that are not logged in
	addresses map[string]int
	tenants   map[string]int
	keys      map[keyID]int
	opened    map[string]*day // by tenant
}

// day is how many files a tenant opened since a day began with the first of them.
type day struct {
	began time.Time
	files int
}

func newCounts(l Limits) *counts {
	return &counts{limits: l, addresses: map[string]int{}, tenants: map[string]int{}, keys: map[keyID]int{}, opened: map[string]*day{}}
}

func (c *counts) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.numbers
}

// connect counts a new connection, unless it is one too many.
func (c *counts) connect(from net.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ip := ipOf(from)
	if c.numbers.Connections >= c.limits.Connections || c.shaking >= c.limits.Handshakes || c.addresses[ip] >= c.limits.ConnectionsPerAddress {
		c.numbers.Refused++
		return false
	}
	c.numbers.Connections++
	c.shaking++
	c.addresses[ip]++
	return true
}

func (c *counts) disconnect(from net.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.numbers.Connections--
	less(c.addresses, ipOf(from))
}

// shaken says that the handshake of a connection ended, with a login or without.
func (c *counts) shaken(loggedIn bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shaking--
	if !loggedIn {
		c.numbers.Refused++
	}
}

// login counts a session. Where the error is nil, [counts.logout] has to be called.
func (c *counts) login(key keyID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys[key] >= c.limits.ConnectionsPerKey || c.tenants[key.tenant] >= c.limits.ConnectionsPerTenant {
		c.numbers.Refused++
		return errTooManyConnections
	}
	c.numbers.Logins++
	c.keys[key]++
	c.tenants[key.tenant]++
	return nil
}

func (c *counts) logout(key keyID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	less(c.keys, key)
	less(c.tenants, key.tenant)
}

// file counts a file that a tenant is about to open.
func (c *counts) file(tenant string, at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	today := c.opened[tenant]
	if today == nil || at.Sub(today.began) >= 24*time.Hour {
		today = &day{began: at}
		c.opened[tenant] = today
	}
	if today.files >= c.limits.FilesPerDay {
		return errTooManyToday
	}
	today.files++
	c.numbers.Files++
	return nil
}

func (c *counts) sent(sizeBytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.numbers.Bytes += int64(sizeBytes)
}

func less[K comparable](of map[K]int, key K) {
	if of[key]--; of[key] == 0 {
		delete(of, key)
	}
}

// ipOf returns the address without its port.
func ipOf(address net.Addr) string {
	if tcp, ok := address.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return address.String()
}
