package fault

import (
	"fmt"
	"syscall"
)

// errnoName returns the system error code as Windows' documentation lists it, such as "WINDOWS 112".
func errnoName(errno syscall.Errno) string { return fmt.Sprintf("WINDOWS %d", uint32(errno)) }
