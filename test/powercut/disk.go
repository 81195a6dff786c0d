//go:build linux && peers

package powercut

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// diskName is the one file of a disk's file system.
const diskName = "disk.img"

// fsName begins the names of the disks' file systems in the list of mounts; the process's number follows.
const fsName = "wolkvox-powercut-"

// disk shows an image as the file [diskName], for the loop driver to work on. A flush of the block device arrives as an
// fsync of that file.
type disk struct {
	fs.Inode
	image *image
}

var (
	_ fs.NodeGetattrer = (*disk)(nil)
	_ fs.NodeSetattrer = (*disk)(nil)
	_ fs.NodeOpener    = (*disk)(nil)
	_ fs.NodeReader    = (*disk)(nil)
	_ fs.NodeWriter    = (*disk)(nil)
	_ fs.NodeFsyncer   = (*disk)(nil)
)

// mountDisk mounts an image as a file system with one file at dir.
func mountDisk(dir string, image *image) (*fuse.Server, error) {
	root := &fs.Inode{}
	server, err := fs.Mount(dir, root, &fs.Options{
		MountOptions: fuse.MountOptions{
			DirectMount: true, FsName: fsName + fmt.Sprint(os.Getpid()), Name: "powercut", MaxWrite: 1 << 20, AllowOther: true,
		},
		OnAdd: func(ctx context.Context) {
			file := root.NewPersistentInode(ctx, &disk{image: image}, fs.StableAttr{Mode: syscall.S_IFREG})
			root.AddChild(diskName, file, false)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("mount a disk at %s: %w", dir, err)
	}
	return server, nil
}

// Getattr tells the image's size.
func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = syscall.S_IFREG | 0o600
	out.Size = uint64(d.image.sizeBytes())
	out.SetTimeout(time.Hour)
	return 0
}

// Setattr takes times, and no other size.
func (d *disk) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok && int64(size) != d.image.sizeBytes() {
		return syscall.EPERM
	}
	return d.Getattr(ctx, f, out)
}

// Open sees to it that the kernel keeps no copy of its own.
func (d *disk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Read reads what was last written.
func (d *disk) Read(_ context.Context, _ fs.FileHandle, p []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultData(p[:d.image.readAt(p, offset)]), 0
}

// Write writes to the volatile cache.
func (d *disk) Write(_ context.Context, _ fs.FileHandle, p []byte, offset int64) (uint32, syscall.Errno) {
	n, ok := d.image.writeAt(p, offset)
	if !ok {
		return 0, syscall.ENOSPC
	}
	return uint32(n), 0
}

// Fsync flushes the volatile cache.
func (d *disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.image.flush()
	return 0
}
