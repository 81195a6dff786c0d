package agent

import (
	"fmt"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/wolkvoxdest"
)

// place returns what opens the place that a destination is configured with: wolkvox Storage over the connection that the
// agent has, and any other by itself.
func (a *Agent) place(c config.Destination) (dest.Opener, error) {
	if c.Wolkvox != nil {
		return a.openWolkvox(c)
	}
	return opener(c)
}

// openWolkvox returns what opens a destination in wolkvox Storage, over the agent's connection to the server.
func (a *Agent) openWolkvox(c config.Destination) (dest.Opener, error) {
	who, ok := a.who().Destinations[c.Name]
	if !ok {
		return nil, fmt.Errorf("destination %q: this agent is not enrolled for it", c.Name)
	}
	return wolkvoxdest.New(wolkvoxdest.Options{
		Conn: a.link, Origin: string(who.Origin), Tenant: who.Origin.Tenant(), Destination: who.Origin.Destination(),
		Readback: c.Wolkvox.Check == config.CheckReadback,
	}), nil
}
