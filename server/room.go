package server

import (
	"fmt"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/server/internal/config"
)

// stateRoom returns the check that the volume of the server's state has its reserve: registry and ledgers write through
// memory maps, which a full volume would kill.
func stateRoom(c config.Config) func() error {
	return func() error {
		free, err := durable.FreeBytes(c.StateDir)
		if err != nil {
			return fmt.Errorf("look for room on the volume of the server's state: %w", err)
		}
		if reserve := int64(*c.StateReserve); free < reserve {
			return fmt.Errorf("the volume of the server's state (%s) has %d MiB free, and %d MiB stay in reserve: free space there, "+
				"or lower `state_reserve`; nothing is sealed and no receipt is taken meanwhile, and nothing is lost", c.StateDir, free>>20, reserve>>20)
		}
		return nil
	}
}
