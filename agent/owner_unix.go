//go:build unix

package agent

import (
	"fmt"
	"os"
	"syscall"
)

// checkOwner refuses to work on another user's state: files made by the wrong user would lock the service out.
func checkOwner(stateDir string) error {
	info, err := os.Stat(stateDir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the state directory: %w", err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return fmt.Errorf("the agent's state in %s belongs to user %d, and this command runs as user %d: "+
			"start the service and ask again, or run the command as that user", stateDir, owner, os.Geteuid())
	}
	return nil
}
