package source

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Nothing is waited for: a FIFO that took the place of a file or folder is opened, or refused, at once.
const (
	fileFlags   = os.O_RDONLY | syscall.O_NONBLOCK
	folderFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_DIRECTORY
)

func inode(info fs.FileInfo) (number uint64, changeTime time.Time) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino, time.Unix(stat.Ctim.Unix()).UTC()
	}
	return 0, time.Time{}
}

// volume returns the number of the mounted file system that the file lies on.
func volume(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Dev)
	}
	return 0
}

// syncRoot makes a file's name in the root folder durable.
func syncRoot(root *os.Root) error {
	folder, err := root.OpenFile(".", folderFlags, 0)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
