package metrics

import (
	"io/fs"
	"syscall"
)

// allocatedBytes is what a file takes of its volume: that of a database's log is much less than its size, which is set
// beforehand.
func allocatedBytes(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512 // stat(2): of 512 bytes, whatever the file system
	}
	return info.Size()
}
