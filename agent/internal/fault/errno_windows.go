package fault

import "syscall"

// ofNative returns the meaning of a code of this system. Go invents numbers for errno values that Windows lacks, which only
// its own packages return.
func ofNative(errno syscall.Errno) row {
	number := uint64(errno)
	if errno >= syscall.APPLICATION_ERROR {
		if linux, known := invented()[errno]; known {
			return ofErrno("linux", linux)
		}
	}
	return ofErrno("windows", number)
}

// invented are the Linux numbers of values that Go's own packages return on Windows.
func invented() map[syscall.Errno]uint64 {
	return map[syscall.Errno]uint64{
		syscall.EINVAL: 22, syscall.EISDIR: 21, syscall.ENAMETOOLONG: 36, syscall.ELOOP: 40, syscall.EPERM: 1, syscall.EACCES: 13, syscall.EAGAIN: 11,
		syscall.ENOSYS: 38, syscall.EOPNOTSUPP: 95, syscall.ENOSPC: 28, syscall.EDQUOT: 122, syscall.EROFS: 30, syscall.EIO: 5,
		syscall.ESTALE: 116, syscall.ENOTCONN: 107, syscall.ETIMEDOUT: 110, syscall.EPIPE: 32, syscall.EBUSY: 16, syscall.EMFILE: 24,
	}
}
