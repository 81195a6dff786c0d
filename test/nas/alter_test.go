//go:build linux && peers

package nas

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// alterer alters files at the peer as soon as they were written there.
type alterer struct {
	known   map[uint64]bool // by inode, what was altered, or is not to be
	altered int
	ends    chan struct{}
	done    sync.WaitGroup
}

// alter has the next recordings altered that come to the peer, until stop is called, which returns how many they were.
func (s *site) alter(t *testing.T, count int, published bool) (stop func() int) {
	t.Helper()
	if far, ok := s.peer.(remote); ok {
		return far.alter(t, count)
	}
	return alterFiles(t, s.Destination, count, published).stop
}

// alterFiles alters the next files that appear in the peer's folder: staged ones, or those that have their names where published
// is set.
func alterFiles(t *testing.T, dir string, count int, published bool) *alterer {
	t.Helper()
	a := &alterer{known: map[uint64]bool{}, ends: make(chan struct{})}
	below := filepath.Join(dir, ".wolkvox", "staging")
	if published {
		below = filepath.Join(dir, fleet.SourceName)
	}
	a.look(t, below, func(string) bool { return true })
	a.done.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for a.altered < count {
			select {
			case <-a.ends:
				return
			case <-tick.C:
				a.look(t, below, func(path string) bool {
					if a.altered == count || !flip(path) {
						return false
					}
					a.altered++
					return true
				})
			}
		}
	})
	t.Cleanup(func() { a.stop() })
	return a
}

// stop ends it and returns how many files were altered.
func (a *alterer) stop() int {
	select {
	case <-a.ends:
	default:
		close(a.ends)
	}
	a.done.Wait()
	return a.altered
}

// look calls do for each file that is not known, which is known then if do says so.
func (a *alterer) look(t *testing.T, below string, do func(path string) bool) {
	err := filepath.WalkDir(below, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // gone meanwhile
			return nil
		}
		if err != nil || !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return nil // the same
		}
		if inode := info.Sys().(*syscall.Stat_t).Ino; !a.known[inode] && do(path) {
			a.known[inode] = true
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// flip changes the first bit of a recording that was written; none begins with a zero byte.
func flip(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	var first [1]byte
	if n, err := f.ReadAt(first[:], 0); n == 0 || err != nil || first[0] == 0 {
		return false
	}
	first[0] ^= 1
	_, err = f.WriteAt(first[:], 0)
	return err == nil
}
