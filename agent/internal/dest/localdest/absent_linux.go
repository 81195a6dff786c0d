package localdest

import (
	"errors"
	"syscall"
)

// isAbsent reports whether err, which is fs.ErrNotExist, says that a name is not there.
func isAbsent(err error) bool { return errors.Is(err, syscall.ENOENT) }
