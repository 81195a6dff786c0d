package durable

import "golang.org/x/sys/unix"

// syncFSHonest reports whether syncfs(2) on a file system with this magic number (statfs(2), f_type) writes everything and
// tells the truth: ext4 (which also serves ext2 and ext3), xfs and btrfs; and tmpfs, where there is nothing to write. Network
// and FUSE file systems are not on the list: their server need not have a syncfs. Neither is what is not known.
func syncFSHonest(magic int64) bool {
	switch magic {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}

// direct says when a read with O_DIRECT is known to come from the device or the server.
type direct int

const (
	directIfVouched direct = iota // where statx(2) vouches for this very file
	directNever                   // whatever the system says
	directAlways
)

// directReads says what O_DIRECT is worth on a file system with this magic number. btrfs reads compressed data through the
// cache. A FUSE file system is a program on this machine, which may cache as it likes. The client for SMB shares passes its
// cache only as it was mounted (mount.cifs(8), cache=), which cannot be seen. NFS never falls back for reading (open(2) NOTES).
func directReads(magic int64) direct {
	switch magic {
	case unix.BTRFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC:
		return directNever
	case unix.NFS_SUPER_MAGIC:
		return directAlways
	}
	if isSMB(magic) {
		return directNever
	}
	return directIfVouched
}

func isSMB(magic int64) bool {
	switch magic {
	case unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.SMB_SUPER_MAGIC:
		return true
	}
	return false
}
