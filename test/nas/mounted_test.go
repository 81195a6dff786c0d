//go:build linux && peers

package nas

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/wolkvox/backup/test/fleet"
)

// folder is a folder of this machine. Nothing goes wrong there.
type folder struct {
	peer
	dir string
}

func startFolder(_ testing.TB, dir string) peer { return folder{dir: dir} }

func (f folder) where(string) string { return "  directory: " + f.dir + "\n" }

// mounted is a share that the system has mounted: a file system in user space over a folder, which dies, refuses and
// lags as shares do.
type mounted struct {
	dir    string // what lies behind
	at     string // where it is mounted
	server *fuse.Server
	moods  *moods
}

// moods are how a share behaves at the moment.
type moods struct {
	refuses atomic.Bool // who the agent is, is not taken any more
	lags    atomic.Bool
}

// lag is what a write takes of a share that lags.
const lag = 20 * time.Millisecond

func startMounted(t testing.TB, dir string) peer {
	t.Helper()
	m := &mounted{dir: dir, at: t.TempDir(), moods: &moods{}}
	m.restart(t)
	t.Cleanup(m.leave)
	return m
}

func (m *mounted) where(string) string { return "  directory: " + m.at + "\n" }
func (m *mounted) address() string     { return "" }

// kill ends the share's server: whoever is there is told that there is no connection, and the mount stays.
func (m *mounted) kill() {
	var info syscall.Stat_t
	if syscall.Stat(m.at, &info) != nil {
		return // it is dead
	}
	// A mount without a block device has a minor number, which names its connection.
	name := fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", unix.Minor(info.Dev))
	_ = os.WriteFile(name, []byte("1"), 0)
}

func (m *mounted) restart(t testing.TB) {
	t.Helper()
	m.leave()
	root := &fs.LoopbackRoot{Path: m.dir}
	node := &moodyNode{&fs.LoopbackNode{RootData: root}, m.moods}
	root.RootNode = node
	server, err := fs.Mount(m.at, node, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, FsName: "wolkvox-share"}})
	if err != nil {
		t.Fatal(err)
	}
	m.server = server
}

// leave takes the mount away, also from those who are in it.
func (m *mounted) leave() {
	if m.server == nil {
		return
	}
	_ = syscall.Unmount(m.at, syscall.MNT_DETACH)
	m.server.Wait()
	m.server = nil
}

func (m *mounted) cut(t testing.TB, _ *fleet.Line) {
	t.Helper()
	m.kill()
	m.restart(t)
}

func (m *mounted) slow(_ *fleet.Line, on bool)    { m.moods.lags.Store(on) }
func (m *mounted) lock(testing.TB)                { m.moods.refuses.Store(true) }
func (m *mounted) unlock(testing.TB)              { m.moods.refuses.Store(false) }
func (m *mounted) readOnly(t testing.TB, on bool) { remount(t, m.at, "bind,"+readOnlyOption(on)) }

func readOnlyOption(on bool) string {
	if on {
		return "ro"
	}
	return "rw"
}

// moodyNode is a file or folder of the share.
type moodyNode struct {
	*fs.LoopbackNode
	moods *moods
}

// WrapChild makes everything below it moody, too.
func (n *moodyNode) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &moodyNode{child.(*fs.LoopbackNode), n.moods}
}

func (n *moodyNode) mood() syscall.Errno {
	if n.moods.refuses.Load() {
		return syscall.EACCES
	}
	return 0
}

// Lookup implements fs.NodeLookuper.
func (n *moodyNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.mood(); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Lookup(ctx, name, out)
}

// Mkdir implements fs.NodeMkdirer.
func (n *moodyNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.mood(); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

// Open implements fs.NodeOpener.
func (n *moodyNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.mood(); errno != 0 {
		return nil, 0, errno
	}
	handle, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	return n.moody(handle), fuseFlags, errno
}

// Create implements fs.NodeCreater.
func (n *moodyNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.mood(); errno != 0 {
		return nil, nil, 0, errno
	}
	inode, handle, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return inode, n.moody(handle), fuseFlags, errno
}

func (n *moodyNode) moody(handle fs.FileHandle) fs.FileHandle {
	if file, ok := handle.(*fs.LoopbackFile); ok {
		return &moodyFile{file, n.moods}
	}
	return handle
}

// moodyFile is an open file of the share.
type moodyFile struct {
	*fs.LoopbackFile
	moods *moods
}

// PassthroughFd keeps the kernel from going past this file system.
func (f *moodyFile) PassthroughFd() (int, bool) { return 0, false }

// Write implements fs.FileWriter.
func (f *moodyFile) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	switch {
	case f.moods.refuses.Load():
		return 0, syscall.EACCES
	case f.moods.lags.Load():
		time.Sleep(lag)
	}
	return f.LoopbackFile.Write(ctx, data, off)
}

// mount mounts something at a new folder below dir, until the test ends.
func mount(t testing.TB, dir string, args ...string) string {
	t.Helper()
	at := filepath.Join(dir, "mounted")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if r := fleet.Command(t.Context(), "mount", append(args, at)...); r.Status != 0 {
		t.Fatal(r)
	}
	t.Cleanup(func() {
		// The context of the test has ended.
		fleet.Command(context.WithoutCancel(t.Context()), "umount", "-l", at)
	})
	return at
}

func remount(t testing.TB, at, options string) {
	t.Helper()
	if r := fleet.Command(t.Context(), "mount", "-o", "remount,"+options, at); r.Status != 0 {
		t.Fatal(r)
	}
}
