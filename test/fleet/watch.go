//go:build linux && peers

package fleet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Watch watches a destination from outside, with inotify: whatever appears under a name is hashed at that moment, and
// nothing that is visible may change, move or go away.
type Watch struct {
	dir    string
	wanted func(path string) (sum string, ok bool)
	events *os.File
	ending atomic.Bool // set when the events that there are shall be the last
	done   sync.WaitGroup

	// Owned by the goroutine that reads events, until done.
	dirs     map[int32]string // by watch, relative to dir
	seen     map[string]int   // how often a file was hashed
	problems []string
}

// watched is what the watch asks the kernel for. A file that is closed changes nothing: every write before was an event.
const watched = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_MODIFY | unix.IN_ONLYDIR

// NewWatch begins to watch dir. wanted returns the SHA-256 that a file must have, and false where it must not be there.
func NewWatch(t testing.TB, dir string, wanted func(path string) (sum string, ok bool)) *Watch {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatalf("watch %s: %v", dir, err)
	}
	w := &Watch{dir: dir, wanted: wanted, events: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32]string{}, seen: map[string]int{}}
	w.enter(".")
	w.done.Go(w.read)
	t.Cleanup(func() {
		w.events.Close()
		w.done.Wait()
	})
	return w
}

// Stop ends watching, looks at everything once more, and returns how many files it has seen to appear, and what was
// wrong.
func (w *Watch) Stop(t testing.TB) (files int, problems []string) {
	t.Helper()
	w.ending.Store(true)
	w.done.Wait()
	appeared := len(w.seen)
	for name := range Tree(t, w.dir) {
		if w.seen[name] == 0 {
			w.problem("%s is there, and was not seen to appear", name)
		}
		w.look(name)
	}
	return appeared, w.problems
}

func (w *Watch) problem(format string, args ...any) {
	const most = 20
	if len(w.problems) < most {
		w.problems = append(w.problems, fmt.Sprintf(format, args...))
	}
}

// read takes events in until the watch ends and none is left, or it is closed.
func (w *Watch) read() {
	buf := make([]byte, 1<<20)
	for {
		ending := w.ending.Load() // what was to be seen has come by now
		n, err := w.next(buf)
		switch {
		case errors.Is(err, os.ErrClosed), errors.Is(err, unix.EAGAIN) && ending:
			return
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			w.problem("read events: %v", err)
			return
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			watch, mask := int32(binary.NativeEndian.Uint32(rest)), binary.NativeEndian.Uint32(rest[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
			name := string(bytes.TrimRight(rest[unix.SizeofInotifyEvent:end], "\x00"))
			rest = rest[end:]
			w.take(watch, mask, name)
		}
	}
}

// next waits a moment for events and reads them; unix.EAGAIN says that there are none.
func (w *Watch) next(buf []byte) (n int, err error) {
	raw, err := w.events.SyscallConn()
	if err != nil {
		return 0, err
	}
	closed := raw.Control(func(fd uintptr) {
		const milliseconds = 50
		if _, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, milliseconds); err == nil {
			n, err = unix.Read(int(fd), buf)
		}
	})
	if closed != nil {
		return 0, os.ErrClosed
	}
	return n, err
}

func (w *Watch) take(watch int32, mask uint32, name string) {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		w.problem("events were missed")
		return
	}
	dir, ok := w.dirs[watch]
	if !ok || mask&unix.IN_IGNORED != 0 {
		return
	}
	name = path.Join(dir, name)
	appeared := mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0
	switch {
	case own(name):
	case appeared && mask&unix.IN_ISDIR != 0:
		w.enter(name)
	case appeared:
		w.look(name)
	default:
		w.problem("%s was changed, moved or deleted after it was visible (event %#x)", name, mask)
	}
}

// own reports whether a name is the agent's own, or below the folder in which versitygw keeps what is not complete.
func own(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return first == ".wolkvox" || first == ".sgwtmp"
}

// enter watches a directory, and looks at what came into it before.
func (w *Watch) enter(dir string) {
	watch, err := w.add(dir)
	if err != nil {
		w.problem("watch %s: %v", dir, err)
		return
	}
	w.dirs[int32(watch)] = dir
	entries, err := os.ReadDir(filepath.Join(w.dir, dir))
	if err != nil {
		w.problem("%v", err)
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		switch {
		case own(name) || name == "lost+found":
		case entry.IsDir():
			w.enter(name)
		default:
			w.look(name)
		}
	}
}

func (w *Watch) add(dir string) (watch int, err error) {
	raw, err := w.events.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) { watch, err = unix.InotifyAddWatch(int(fd), filepath.Join(w.dir, dir), watched) })
	return watch, errors.Join(controlErr, err)
}

// look hashes a visible file.
func (w *Watch) look(name string) {
	w.seen[name]++
	want, ok := w.wanted(name)
	if !ok {
		w.problem("%s appeared, and must not be there", name)
		return
	}
	got, err := Sum(filepath.Join(w.dir, name))
	if err != nil || got != want {
		w.problem("%s was seen with the SHA-256 %s (%v), want %s", name, got, err, want)
	}
}
