package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// Attributes of a file (linux/fs.h).
const (
	immutableFlag  = 0x10 // FS_IMMUTABLE_FL
	appendOnlyFlag = 0x20 // FS_APPEND_FL
)

// Protected reports whether a file or directory below root has an attribute that keeps everybody from changing it, root too:
// immutable, or append-only (ioctl_iflags(2), FS_IMMUTABLE_FL and FS_APPEND_FL). Where the file system has no such attributes
// it is false. What is no regular file nor directory is not opened.
func Protected(root *os.Root, name string) (bool, error) {
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
		return false, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	return err == nil && flags&(immutableFlag|appendOnlyFlag) != 0, nil
}
