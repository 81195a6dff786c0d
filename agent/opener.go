package agent

import (
	"fmt"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// opener returns what opens the place that a destination is configured with.
func opener(c config.Destination) (dest.Opener, error) {
	switch {
	case c.Directory != "":
		return openLocal(c)
	}
	return nil, fmt.Errorf("destination %q: no driver serves %s", c.Name, c.Location())
}
