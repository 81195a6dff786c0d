// Package door is where people read the recordings of their own tenant with any SFTP client: what is pending, what has
// expired, and what is kept in wolkvox Storage, as the ledgers and manifests say, at any time and without an agent. Whoever holds a key that the tenant has
// registered is let in, with the tenant's name as the user's.
//
// It only reads. There is no shell, no program, no forwarding and no way to change, add or remove anything; no path
// leads to a file of this machine but to the items of a manifest, which package contentrpc opens and checks, and to what the tenant
// keeps in wolkvox Storage.
// Every file that is opened is in the admin log. It gives no keys away and decides nothing about who may register one.
package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/adminlog"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/storage"
)

// Limits bound what the door takes of the server. Fields that are 0 are as [New] says.
type Limits struct {
	Connections           int           // at once; 64
	ConnectionsPerAddress int           // at once; 16
	ConnectionsPerTenant  int           // at once; 16
	ConnectionsPerKey     int           // at once; 8
	Handshakes            int           // connections at once that are not logged in yet; 32
	FilesPerConnection    int           // open at once, files and folders; 32
	FilesPerDay           int           // opened by one tenant in 24 hours; 1,000,000
	LoginTimeout          time.Duration // from the connection to the login; 20 s
	IdleTimeout           time.Duration // of silence; 15 min
}

func (l *Limits) setDefaults() {
	for value, otherwise := range map[*int]int{
		&l.Connections: 64, &l.ConnectionsPerAddress: 16, &l.ConnectionsPerTenant: 16, &l.ConnectionsPerKey: 8,
		&l.Handshakes: 32, &l.FilesPerConnection: 32, &l.FilesPerDay: 1e6,
	} {
		if *value == 0 {
			*value = otherwise
		}
	}
	if l.LoginTimeout == 0 {
		l.LoginTimeout = 20 * time.Second
	}
	if l.IdleTimeout == 0 {
		l.IdleTimeout = 15 * time.Minute
	}
}

// Parts are what a [Door] is made of. All but Storage, Limits and Logger are required.
type Parts struct {
	HostKey    HostKey
	Registry   *registry.Registry
	Sequencers *sequencer.Set
	Contents   *contentrpc.Service
	Storage    *storage.Store // nil where there is none to be shown
	Log        adminlog.Log
	Limits     Limits
	Logger     *slog.Logger // nil: silent
}

// Door is the SFTP server. Its methods may be called concurrently.
type Door struct {
	Parts
	records records
	counts  *counts

	mu       sync.Mutex // guards what follows
	sessions map[*session]struct{}
}

// New returns a door that [Door.Serve] opens.
func New(p Parts) *Door {
	p.Limits.setDefaults()
	if p.Logger == nil {
		p.Logger = slog.New(slog.DiscardHandler)
	}
	return &Door{
		Parts: p, records: newRecords(p.Log, p.Logger), counts: newCounts(p.Limits),
		sessions: map[*session]struct{}{},
	}
}

// What ends a session besides its client.
var (
	errStopping   = errors.New("the server is being stopped")
	errKeyRemoved = errors.New("the key was removed")
	errKeyExpired = errors.New("the key has expired")
	errRetired    = errors.New("the tenant was retired")
)

// Serve lets people in at the listener until ctx ends, whose cause it then returns, after everybody has left.
func (d *Door) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var open sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer func() {
		cancel(errStopping)
		stop()
		listener.Close()
		open.Wait()
	}()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return context.Cause(ctx)
		}
		if isTemporary(err) {
			d.Logger.LogAttrs(ctx, slog.LevelWarn, "door cannot take a connection", slog.Any("error", err))
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("serve the door: %w", err)
		}
		if !d.counts.connect(conn.RemoteAddr()) {
			conn.Close()
			continue
		}
		open.Go(func() {
			defer d.counts.disconnect(conn.RemoteAddr())
			defer conn.Close()
			d.receive(ctx, conn)
		})
	}
}

// isTemporary reports whether accepting may work again in a moment, as when the process has too many files open.
func isTemporary(err error) bool {
	if err == nil || errors.Is(err, net.ErrClosed) {
		return false
	}
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// CloseKey ends the connections that were opened with a key of a tenant, which is in the registry no more.
func (d *Door) CloseKey(tenant, fingerprint string) {
	d.end(errKeyRemoved, func(k registry.DoorKey) bool { return k.Tenant == tenant && k.Fingerprint == fingerprint })
}

// CloseTenant ends all connections of a tenant that was retired.
func (d *Door) CloseTenant(tenant string) {
	d.end(errRetired, func(k registry.DoorKey) bool { return k.Tenant == tenant })
}

func (d *Door) end(cause error, which func(registry.DoorKey) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.sessions {
		if which(s.key) {
			s.cancel(cause)
		}
	}
}

// enter makes a session known, so that it can be ended. It is asked for the key again behind that: one that was removed
// in between is in the registry no more.
func (d *Door) enter(s *session) error {
	d.mu.Lock()
	d.sessions[s] = struct{}{}
	d.mu.Unlock()
	key, err := d.keyOf(s.key.Tenant, s.key.Fingerprint, time.Now())
	if err != nil {
		return err
	}
	d.mu.Lock()
	s.key = key
	d.mu.Unlock()
	return nil
}

func (d *Door) leave(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sessions, s)
}

// keyOf returns the key of a tenant that may be let in now.
func (d *Door) keyOf(tenant, fingerprint string, at time.Time) (registry.DoorKey, error) {
	if err := ledger.CheckLabel(tenant); err != nil {
		return registry.DoorKey{}, err
	}
	key, err := d.Registry.DoorKey(tenant, fingerprint)
	if err != nil {
		return registry.DoorKey{}, err
	}
	if !at.Before(key.End) {
		return registry.DoorKey{}, fmt.Errorf("%w at %s", errKeyExpired, key.End.Format(time.RFC3339))
	}
	return key, nil
}

// Host returns by what clients know the door.
func (d *Door) Host() HostKey { return d.HostKey }

// Stats returns what went through the door since it was made.
func (d *Door) Stats() Stats { return d.counts.stats() }
