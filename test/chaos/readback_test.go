//go:build linux && peers

package chaos

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/wolkvox/backup/test/fleet"
)

// rotting is a file system over another directory. It flips a bit in a staged file as soon as that was synced.
type rotting struct {
	dir     string
	armed   atomic.Int64 // how many files are still to be hit
	flipped atomic.Int64
}

type rottingNode struct {
	*fs.LoopbackNode
	rotting *rotting
}

// WrapChild makes everything below it rot, too.
func (n *rottingNode) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &rottingNode{child.(*fs.LoopbackNode), n.rotting}
}

// Create makes a file that will be hit if it is in staging.
func (n *rottingNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, handle, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	file, ok := handle.(*fs.LoopbackFile)
	path := filepath.Join(n.Path(nil), name)
	if errno != 0 || !ok || !strings.HasPrefix(path, ".wolkvox/staging/") {
		return inode, handle, fuseFlags, errno
	}
	return inode, &rottingFile{file, n.rotting, path}, fuseFlags, errno
}

type rottingFile struct {
	*fs.LoopbackFile
	rotting *rotting
	path    string
}

// PassthroughFd keeps the kernel from going past this file system.
func (f *rottingFile) PassthroughFd() (int, bool) { return 0, false }

// Fsync makes the file durable, and then flips a bit of it where it lies.
func (f *rottingFile) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if errno := f.LoopbackFile.Fsync(ctx, flags); errno != 0 {
		return errno
	}
	if f.rotting.armed.Add(-1) < 0 {
		return 0
	}
	path := filepath.Join(f.rotting.dir, f.path)
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return syscall.EIO
	}
	data[rand.IntN(len(data))] ^= 1 << rand.IntN(8)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return syscall.EIO
	}
	f.rotting.flipped.Add(1)
	return 0
}

func mountRotting(t *testing.T, dir string) *rotting {
	t.Helper()
	r := &rotting{dir: t.TempDir()}
	root := &fs.LoopbackRoot{Path: r.dir}
	node := &rottingNode{&fs.LoopbackNode{RootData: root}, r}
	root.RootNode = node
	server, err := fs.Mount(dir, node, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, FsName: "wolkvox-rotting"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestReadBack flips bits of a few files on disk after they were written and synced: those files are read back, found to be
// different, named, and neither published nor confirmed. The next run brings them.
func TestReadBack(t *testing.T) {
	t.Parallel()
	const hit = 2
	f, r, watch := rottingNight(t, hit)
	expect(t, f.RunOnce(t), "still pending")
	if got := r.flipped.Load(); got != hit {
		t.Fatalf("%d files were hit, want %d", got, hit)
	}
	expectFault(t, f, "READ_BACK")
	expectItemFault(t, f, "READ_BACK", hit)
	f.CheckDestination(t, false)
	if counts := f.Agent.Only(t).Counts; counts.Pending != hit || int(counts.Confirmed) != f.WantedCount()-hit {
		t.Errorf("%+v, want %d pending and all others confirmed", counts, hit)
	}
	expectComplete(t, f)
	if _, problems := watch.Stop(t); len(problems) > 0 {
		t.Errorf("watch: %q", problems)
	}
}

// TestReadBackOften flips bits of so many files that it is the destination's fault, not theirs: the run ends with the sentence on
// the disk. Nothing wrong is published or confirmed, and when the disk is well again the rest comes.
func TestReadBackOften(t *testing.T) {
	t.Parallel()
	const hit = 12
	f, r, watch := rottingNight(t, hit)
	expect(t, f.RunOnce(t), "check the disk")
	if counts := f.Agent.Only(t).Counts; counts.Pending < 3 {
		t.Errorf("%+v, want at least 3 pending", counts)
	}
	f.CheckDestination(t, false)
	r.armed.Store(0)
	expectComplete(t, f)
	if got := r.flipped.Load(); got < 3 {
		t.Errorf("%d files were hit, too few to be the destination's fault", got)
	}
	if _, problems := watch.Stop(t); len(problems) > 0 {
		t.Errorf("watch: %q", problems)
	}
}

// rottingNight seals a night of 60 recordings for a destination whose disk spoils the first ones.
func rottingNight(t *testing.T, hit int64) (*fleet.Fleet, *rotting, *fleet.Watch) {
	t.Helper()
	dir := t.TempDir()
	r := mountRotting(t, dir)
	f := fleet.New(t, fleet.Options{Destination: dir})
	f.Record(t, 1, 60, 1, 20_000)
	f.Seal(t)
	watch := fleet.NewWatch(t, r.dir, f.Wanted)
	r.armed.Store(hit)
	return f, r, watch
}
