//go:build unix

package control

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// permit sets the socket's mode and, where one is named, its group.
func permit(path, group string) error {
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
			return err
		}
	}
	return os.Chmod(path, socketMode)
}
