//go:build unix

package authority

import (
	"fmt"
	"os"
	"syscall"
)

// checkOwner refuses to write to another user's state: the server could not read what it finds there.
func checkOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the state directory: %w", err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return fmt.Errorf("the server's state in %s belongs to user %d, and this command runs as user %d: run it as that user", dir, owner, os.Geteuid())
	}
	return nil
}
