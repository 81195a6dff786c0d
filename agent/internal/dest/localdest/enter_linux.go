package localdest

import (
	"errors"
	"fmt"
)

// enter does nothing where a share is mounted by the system, with its own login.
func (l *Local) enter() error {
	if l.login != nil {
		return fmt.Errorf("login to %s: %w on this system: mount the share", l.dir, errors.ErrUnsupported)
	}
	return nil
}
