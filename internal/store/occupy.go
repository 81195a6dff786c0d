package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/wolkvox/backup/internal/durable"
)

// occupy gives Badger's write-ahead logs the space that they will be written to. Badger makes them as holes and writes
// through memory maps: if the volume has filled up meanwhile, that ends the process (mmap(2): SIGBUS), while a write to
// space that was reserved cannot fail for want of it. A log that is there already costs a look at its name.
func (f *folder) occupy() error {
	if f == nil || runtime.GOOS == "windows" { // NTFS has no holes unless it is asked for them
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	names, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("look for the store's logs: %w", err)
	}
	present := make(map[string]bool)
	for _, name := range names {
		if !strings.HasSuffix(name.Name(), logSuffix) {
			continue
		}
		present[name.Name()] = true
		if f.occupied[name.Name()] {
			continue
		}
		if err := reserve(filepath.Join(f.dir, name.Name())); err != nil {
			return fmt.Errorf("%w: reserve the space of %s: %w", ErrNoRoom, name.Name(), err)
		}
	}
	f.occupied = present
	return nil
}

// logSuffix is how the names of Badger's write-ahead logs end.
const logSuffix = ".mem"

// reserve reserves the space of a file as long as it is, where the file system can.
func reserve(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was written to a table meanwhile
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		err = durable.Preallocate(file, info.Size())
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, file.Close())
}
