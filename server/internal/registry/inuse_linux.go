package registry

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// checkUnused tries the lock that the database takes on its directory (flock(2)), because the database does not say
// by its error that it was the lock that failed. Should another process come in between, the database refuses.
func checkUnused(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	err = syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}
