//go:build unix

package control

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
)

// permit sets the mode of the socket or its directory and, where one is named, its group.
func permit(path, group string, mode fs.FileMode) error {
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return fmt.Errorf("socket_group: %w", err)
		}
		id, err := strconv.Atoi(g.Gid)
		if err != nil {
			return fmt.Errorf("socket_group: the group %s has the identifier %q", group, g.Gid)
		}
		if err := os.Chown(path, -1, id); err != nil {
			return fmt.Errorf("socket_group: make the agent's user a member of the group %s: %w", group, err)
		}
	}
	return os.Chmod(path, mode)
}
