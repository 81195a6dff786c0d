package localdest

import (
	"errors"
	"syscall"
)

// isAbsent reports whether err, which is fs.ErrNotExist, says that a name is not there. Go also counts
// ERROR_BAD_NETPATH as fs.ErrNotExist (syscall.Errno.Is), which says that the share's server was not found.
func isAbsent(err error) bool {
	return errors.Is(err, syscall.ERROR_FILE_NOT_FOUND) || errors.Is(err, syscall.ERROR_PATH_NOT_FOUND)
}
