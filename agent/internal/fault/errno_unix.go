//go:build unix

package fault

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// ofNative returns the meaning of a code of this system, by its symbol: the numbers differ between systems and processors.
func ofNative(errno syscall.Errno) row {
	name := unix.ErrnoName(errno)
	for _, r := range linuxRows() {
		if r.code == name {
			return r
		}
	}
	if name == "" {
		name = errno.Error()
	}
	return row{code: name, class: ClassOther, vague: true}
}
