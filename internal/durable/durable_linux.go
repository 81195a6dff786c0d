package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenDir opens a directory below root for [RenameNoReplaceAt], [SyncFS] and [FreeSpace]. What is not a directory is
// an error, and is not opened.
func OpenDir(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
}

// openRegular opens a regular file below root for reading. O_NONBLOCK: should a FIFO take its place after the look,
// opening does not wait for a writer (open(2)).
func openRegular(root *os.Root, name string) (*os.File, error) {
	if err := lstatRegular(root, name); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(name, info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openToSync opens for reading, which lets fsync(2) write back whatever the file's cache holds. The client for SMB shares asks
// the server to flush only through a handle that may write (cifs_strict_fsync in fs/smb/client/file.c of Linux), so there the
// file is opened for writing too, where that is allowed.
func openToSync(root *os.Root, name string) (*os.File, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	if magic, err := fileSystem(f); err != nil || !isSMB(magic) {
		return f, nil
	}
	writable, err := root.OpenFile(name, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return f, nil
	}
	return writable, errors.Join(err, f.Close())
}

func openUncached(root *os.Root, name string) (*os.File, bool, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return nil, false, err
	}
	return f, passCache(f), nil
}

func syncDir(dir *os.File) error { return dir.Sync() }

func renameNoReplace(oldPath, newPath string) error {
	return renameOrLink(unix.AT_FDCWD, oldPath, unix.AT_FDCWD, newPath)
}

func renameNoReplaceAt(oldDir *os.File, oldName string, newDir *os.File, newName string) error {
	return withFds(oldDir, newDir, func(oldFd, newFd int) error { return renameOrLink(oldFd, oldName, newFd, newName) })
}

// renameOrLink uses renameat2(2) with RENAME_NOREPLACE. "EINVAL: the file system does not support one of the flags"
// (NFS), ENOSYS before kernel 3.15 and under some sandboxes, EPERM under others: then link(2), which never
// replaces, and unlink(2).
func renameOrLink(oldFd int, oldName string, newFd int, newName string) error {
	err := ignoringEINTR(func() error { return unix.Renameat2(oldFd, oldName, newFd, newName, unix.RENAME_NOREPLACE) })
	switch err {
	case unix.EINVAL, unix.ENOSYS, unix.EPERM, unix.EOPNOTSUPP:
		return linkUnlink(oldFd, oldName, newFd, newName)
	}
	return err
}

func linkUnlink(oldFd int, oldName string, newFd int, newName string) error {
	if err := ignoringEINTR(func() error { return unix.Linkat(oldFd, oldName, newFd, newName, 0) }); err != nil {
		return err
	}
	return ignoringEINTR(func() error { return unix.Unlinkat(oldFd, oldName, 0) })
}

// SyncFS writes everything of the file system that dir is on to its device, and reports failures since dir was
// opened or since its last SyncFS. It may be relied upon where [SyncFSTrusted] says so, through a descriptor
// that was opened before the writes.
func SyncFS(dir *os.File) error {
	return withFd(dir, func(fd int) error {
		if err := ignoringEINTR(func() error { return unix.Syncfs(fd) }); err != nil {
			return &os.PathError{Op: "syncfs", Path: dir.Name(), Err: err}
		}
		return nil
	})
}

// SyncFSTrusted reports whether syncfs(2) on dir's file system both writes everything and tells the truth: a kernel
// from 5.8, and ext4 (which also serves ext2 and ext3), xfs or btrfs; or tmpfs, where there is nothing to write.
// Network and FUSE file systems are not trusted: their server need not have a syncfs.
func SyncFSTrusted(dir *os.File) (bool, error) {
	magic, err := fileSystem(dir)
	if err != nil || !syncFSHonest(magic) {
		return false, err
	}
	return kernelSince(5, 8)
}

func kernelSince(major, minor int) (bool, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false, fmt.Errorf("uname: %w", err)
	}
	return releaseSince(unix.ByteSliceToString(u.Release[:]), major, minor), nil
}

// releaseSince compares a kernel release such as "6.1.0-25-amd64" or "5.8-rc1"; one it cannot read is not since.
func releaseSince(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	gotMajor, err1 := strconv.Atoi(first)
	gotMinor, err2 := strconv.Atoi(rest[:end])
	return err1 == nil && err2 == nil && (gotMajor > major || gotMajor == major && gotMinor >= minor)
}

// passCache makes f, which was not read yet, read past the page cache, and reports whether it does. O_DIRECT alone
// proves nothing: some file systems accept it and read through the cache all the same (ext4 with inline or
// journalled data, btrfs with compression, open(2) NOTES), and on tmpfs there is nothing but the cache. So it
// counts where statx(2) vouches for direct I/O on this very file (STATX_DIOALIGN, kernel 6.1), and on xfs and nfs,
// which never fall back for reading; on btrfs never, nor through FUSE and the like (directReads). Elsewhere the cached pages, which must be clean, are dropped.
func passCache(f *os.File) bool {
	direct := false
	err := withFd(f, func(fd int) error {
		if vouched(fd, f) {
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			if err == nil {
				_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_DIRECT)
			}
			direct = err == nil
		}
		if !direct {
			return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
		}
		return nil
	})
	return direct && err == nil
}

func vouched(fd int, f *os.File) bool {
	magic, err := fileSystem(f)
	if err != nil {
		return false
	}
	switch directReads(magic) {
	case directNever:
		return false
	case directAlways:
		return true
	}
	var st unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st) == nil && st.Mask&unix.STATX_DIOALIGN != 0 {
		return fits(st.Dio_mem_align) && fits(st.Dio_offset_align)
	}
	return magic == unix.XFS_SUPER_MAGIC
}

func fits(align uint32) bool { return align != 0 && BlockSize%align == 0 }

func fileSystem(f *os.File) (int64, error) {
	st, err := statfs(f)
	return int64(st.Type), err
}

// FreeSpace returns what the volume of dir can still take.
func FreeSpace(dir *os.File) (Space, error) {
	st, err := statfs(dir)
	if err != nil {
		return Space{}, err
	}
	unit := int64(st.Frsize)
	if unit == 0 { // statfs(2): Linux before 2.6.36
		unit = int64(st.Bsize)
	}
	space := Space{FreeBytes: int64(st.Bavail) * unit, FreeInodes: int64(st.Ffree), TotalBytes: int64(st.Blocks) * unit}
	if st.Files == 0 { // btrfs and others without a fixed number
		space.FreeInodes = -1
	}
	return space, nil
}

func statfs(f *os.File) (unix.Statfs_t, error) {
	var st unix.Statfs_t
	err := withFd(f, func(fd int) error {
		return ignoringEINTR(func() error { return unix.Fstatfs(fd, &st) })
	})
	if err != nil {
		return st, &os.PathError{Op: "fstatfs", Path: f.Name(), Err: err}
	}
	return st, nil
}

// Preallocate reserves space for sizeBytes without changing the file's size; errors.ErrUnsupported where the file
// system cannot. It is not durable by itself.
func Preallocate(f *os.File, sizeBytes int64) error {
	if sizeBytes <= 0 {
		return nil
	}
	err := withFd(f, func(fd int) error {
		return ignoringEINTR(func() error { return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, sizeBytes) })
	})
	if err != nil {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

func withFd(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := conn.Control(func(fd uintptr) { result = do(int(fd)) }); err != nil {
		return err
	}
	return result
}

func withFds(f, g *os.File, do func(fd, gd int) error) error {
	return withFd(f, func(fd int) error { return withFd(g, func(gd int) error { return do(fd, gd) }) })
}

func ignoringEINTR(do func() error) error {
	for {
		if err := do(); err != unix.EINTR {
			return err
		}
	}
}
