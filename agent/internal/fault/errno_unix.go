//go:build unix

package fault

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// errnoName returns the system's symbol, such as "ENOSPC".
func errnoName(errno syscall.Errno) string {
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return errno.Error()
}
