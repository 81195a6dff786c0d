//go:build linux && peers

package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// patience bounds every mount and unmount; one that hangs is abandoned, and named.
const patience = 30 * time.Second

// volume is an ext4 file system on an image that forgets.
type volume struct {
	name  string
	dir   string // where it is mounted
	below string // for the disk's own mounts, one after each cut
	count int    // how often it was attached
	image *image
	disk  *fuse.Server
	at    string // where the disk is mounted
}

// newVolume makes a file system of sizeBytes and mounts it. When the test ends it is unmounted.
func newVolume(t *testing.T, name string, sizeBytes int64) *volume {
	t.Helper()
	top := t.TempDir()
	v := &volume{name: name, dir: filepath.Join(top, name), below: filepath.Join(top, "disks"), image: newImage(sizeBytes)}
	for _, dir := range []string{v.dir, v.below} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.format(filepath.Join(top, "new.img")); err != nil {
		t.Fatalf("make the volume %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := v.detach(); err != nil {
			t.Errorf("unmount the volume %s: %v", name, err)
		}
	})
	if err := v.attach(); err != nil {
		t.Fatalf("mount the volume %s: %v", name, err)
	}
	return v
}

// format makes an empty file system in a sparse file and takes it over into the image, flushed.
func (v *volume) format(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer file.Close()
	if err := file.Truncate(v.image.sizeBytes()); err != nil {
		return err
	}
	err = run("mkfs.ext4", "-q", "-F", "-b", strconv.Itoa(blockBytes), "-J", "size=4",
		"-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", path)
	if err != nil {
		return err
	}
	var zeros, p block
	for offset := int64(0); offset < v.image.sizeBytes(); offset += blockBytes {
		if _, err := file.ReadAt(p[:], offset); err != nil {
			return err
		}
		if p != zeros {
			v.image.writeAt(p[:], offset)
		}
	}
	v.image.flush()
	return nil
}

// attach mounts the image's disk, and the file system on it, which replays its journal.
func (v *volume) attach() error {
	v.count++
	v.at = filepath.Join(v.below, strconv.Itoa(v.count))
	if err := os.Mkdir(v.at, 0o755); err != nil {
		return err
	}
	var err error
	if v.disk, err = mountDisk(v.at, v.image); err != nil {
		return err
	}
	return run("mount", "-t", "ext4", "-o", "loop,noatime", filepath.Join(v.at, diskName), v.dir)
}

// detach unmounts both. What does not come off in time is cut off, and an error.
func (v *volume) detach() error {
	var errs []error
	if mounted(v.dir) {
		if err := run("umount", v.dir); err != nil {
			errs = append(errs, err, run("umount", "-l", v.dir))
		}
	}
	if v.disk == nil {
		return errors.Join(errs...)
	}
	// The loop device lets go of the disk a moment after the file system on it is gone.
	deadline := time.Now().Add(patience)
	for {
		err := v.disk.Unmount()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			errs = append(errs, err, run("umount", "-l", v.at), abort(v.at))
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	v.disk = nil
	return errors.Join(errs...)
}

// process is what runs on a volume.
type process interface {
	Kill() // sends SIGKILL
	Wait() // until it is gone
}

// powerCut takes the power from all volumes at one instant, and from the processes that run on them. Then the power
// comes back: the volumes are mounted again, with what was not lost.
func powerCut(random *rand.Rand, l loss, volumes []*volume, processes ...process) error {
	images := make([]*image, len(volumes))
	for i, v := range volumes {
		images[i] = v.image
	}
	after := cut(random, l, images...)
	// Whoever waits for the disk can die only when its request ends; being killed already, it does not learn of that.
	for _, p := range processes {
		p.Kill()
	}
	restore(images...)
	for _, p := range processes {
		p.Wait()
	}
	var errs []error
	for i, v := range volumes {
		if err := v.detach(); err != nil {
			errs = append(errs, fmt.Errorf("after a power cut: volume %s: %w", v.name, err))
			continue
		}
		v.image = after[i]
		if err := v.attach(); err != nil {
			errs = append(errs, fmt.Errorf("when the power is back: volume %s: %w", v.name, err))
		}
	}
	return errors.Join(errs...)
}

// run runs a program of the system, within patience. One that hangs, perhaps in the kernel where nothing can kill it, is
// left behind.
func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	ended := make(chan error, 1)
	go func() { ended <- cmd.Run() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(out.String()))
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s does not end within %s", strings.Join(cmd.Args, " "), patience)
	}
}

// mount is one line of the list of mounts.
type mount struct {
	device string // major:minor
	dir    string
	source string
}

// mounts returns the mounts of this process's namespace, in order.
func mounts() []mount {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var all []mount
	for line := range strings.Lines(string(text)) {
		front, back, ok := strings.Cut(line, " - ")
		fields, rest := strings.Fields(front), strings.Fields(back)
		if ok && len(fields) > 4 && len(rest) > 1 {
			all = append(all, mount{fields[2], strings.ReplaceAll(fields[4], `\040`, " "), rest[1]})
		}
	}
	return all
}

func mounted(dir string) bool {
	for _, m := range mounts() {
		if m.dir == dir {
			return true
		}
	}
	return false
}

// abort ends a FUSE file system that does not come off, or whose process is gone: requests that wait fail, and so do all
// that come.
func abort(dir string) error {
	const connections = "/sys/fs/fuse/connections"
	if !mounted(connections) {
		if err := run("mount", "-t", "fusectl", "fusectl", connections); err != nil {
			return err
		}
	}
	for _, m := range mounts() {
		_, minor, _ := strings.Cut(m.device, ":")
		if m.dir == dir {
			return os.WriteFile(filepath.Join(connections, minor, "abort"), []byte("1"), 0)
		}
	}
	return nil
}

// sweep takes off what processes left that ended before they could. Their disks are aborted first: whatever waits for one
// of them would wait for ever, and so would whoever unmounts it.
func sweep(t *testing.T) {
	t.Helper()
	var left []mount
	for _, m := range mounts() {
		number, ours := strings.CutPrefix(m.source, fsName)
		if !ours {
			continue
		}
		pid, err := strconv.Atoi(number)
		if err != nil || pid == os.Getpid() || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		t.Logf("taking off what process %d left at %s", pid, m.dir)
		if err := abort(m.dir); err != nil {
			t.Error(err)
		}
		left = append(left, m)
	}
	for _, m := range left {
		for _, l := range mounts() {
			backing, err := os.ReadFile("/sys/block/" + filepath.Base(l.source) + "/loop/backing_file")
			if err == nil && filepath.Dir(strings.TrimSpace(string(backing))) == m.dir {
				if err := run("umount", "-l", l.dir); err != nil {
					t.Error(err)
				}
			}
		}
		if err := run("umount", "-l", m.dir); err != nil {
			t.Error(err)
		}
	}
}
