package durable

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestFileSystemKinds: of file systems by their magic number, which may be synced as a whole, and what O_DIRECT is worth.
func TestFileSystemKinds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		magic  int64
		honest bool
		direct direct
	}{
		"ext4":     {unix.EXT4_SUPER_MAGIC, true, directIfVouched},
		"xfs":      {unix.XFS_SUPER_MAGIC, true, directIfVouched},
		"btrfs":    {unix.BTRFS_SUPER_MAGIC, true, directNever},
		"tmpfs":    {unix.TMPFS_MAGIC, true, directIfVouched},
		"cifs":     {0xff534d42, false, directNever},
		"smb2":     {0xfe534d42, false, directNever},
		"smbfs":    {0x517b, false, directNever},
		"nfs":      {0x6969, false, directAlways},
		"fuse":     {0x65735546, false, directNever},
		"9p":       {0x01021997, false, directNever},
		"ceph":     {0x00c36400, false, directIfVouched},
		"overlay":  {0x794c7630, false, directIfVouched},
		"zfs":      {0x2fc12fc1, false, directIfVouched},
		"exfat":    {0x2011bab0, false, directIfVouched},
		"ntfs3":    {0x7366746e, false, directIfVouched},
		"anything": {0x12345678, false, directIfVouched},
	} {
		if got := syncFSHonest(test.magic); got != test.honest {
			t.Errorf("%s: syncFSHonest = %v", name, got)
		}
		if got := directReads(test.magic); got != test.direct {
			t.Errorf("%s: directReads = %v, want %v", name, got, test.direct)
		}
	}
}
