package uplink

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup/internal/wire"
)

// ServerClock carries on the server's time from when it was last heard, by this process's own uptime, so that a
// wrong clock on this machine neither stops nor dates anything. The zero value has heard nothing. It is safe for
// concurrent use.
type ServerClock struct {
	// Wall is this machine's own clock, which may be wrong and may jump; nil is time.Now. It is named to people and decides
	// nothing. It is not changed once the clock is in use.
	Wall func() time.Time

	mu     sync.Mutex
	server time.Time     // as the server said
	local  time.Time     // when it was heard, with its monotonic reading
	offset time.Duration // of Wall then
}

// Set keeps a time of the server that was heard at the given local time.
func (c *ServerClock) Set(server, local time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server, c.local = server.UTC(), local
}

// hear keeps a time that an answer of the server carried, which has just come.
func (c *ServerClock) hear(said *timestamppb.Timestamp) error {
	server, err := wire.ParseTime(said)
	if err != nil {
		return fmt.Errorf("the server's time: %w", err)
	}
	if server.IsZero() {
		return errors.New("the server did not say its time")
	}
	c.Set(server, time.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = c.wall().Sub(c.server)
	return nil
}

// wall returns what this machine's own clock shows, without its monotonic reading.
func (c *ServerClock) wall() time.Time {
	if c.Wall == nil {
		return time.Now().Round(0)
	}
	return c.Wall().Round(0)
}

// Now returns the server's time now, and false where the server was not heard yet.
func (c *ServerClock) Now() (time.Time, bool) { return c.At(time.Now()) }

// Offset returns this machine's own clock less the server's, when the server was last heard; false where it never was.
func (c *ServerClock) Offset() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset, !c.server.IsZero()
}

// At returns the server's time at the given local time, and false where the server was not heard yet.
func (c *ServerClock) At(local time.Time) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.IsZero() {
		return time.Time{}, false
	}
	return c.server.Add(local.Sub(c.local)), true
}

// Heard returns the last time that the server said, as it said it; zero before the first.
func (c *ServerClock) Heard() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}
