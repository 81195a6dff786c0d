//go:build linux && peers

package nas

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// alterer alters files at the peer as soon as they were written there.
type alterer struct {
	dir     string
	known   map[string]bool // altered, or not to be
	altered atomic.Int64
}

// alter alters the next count files that appear at the peer, staged ones, or those that have their names where published is
// set, until the test ends.
func alter(t *testing.T, dir string, count int64, published bool) *alterer {
	t.Helper()
	a := &alterer{dir: dir, known: map[string]bool{}}
	below := filepath.Join(dir, ".wolkvox", "staging")
	if published {
		below = filepath.Join(dir, fleet.SourceName)
	}
	for path := range fleet.Tree(t, below) {
		a.known[filepath.Join(below, path)] = true
	}
	var watching sync.WaitGroup
	stop := make(chan struct{})
	watching.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for a.altered.Load() < count {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			_ = filepath.WalkDir(below, func(path string, entry fs.DirEntry, err error) error { // what is gone meanwhile is not altered
				switch {
				case err != nil && !errors.Is(err, fs.ErrNotExist):
					t.Error(err)
				case err != nil || !entry.Type().IsRegular() || a.known[path] || strings.HasPrefix(entry.Name(), "."):
				case flip(path):
					a.known[path] = true
					if a.altered.Add(1) == count {
						return fs.SkipAll
					}
				}
				return nil
			})
		}
	})
	t.Cleanup(func() {
		close(stop)
		watching.Wait()
	})
	return a
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
