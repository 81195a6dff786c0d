//go:build unix

package secret

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openFile opens for reading, and does not wait where the path is a FIFO.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func checkReaders(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return judge(path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid, uint32(os.Geteuid()))
}

// judge is [ErrExposed] unless root or the agent's user owns the file, and nobody else has any right to it.
func judge(path string, mode fs.FileMode, owner, agent uint32) error {
	if owner != 0 && owner != agent {
		return fmt.Errorf("%w: %s belongs to the user with id %d, not to the agent's own (id %d): `chown %d %s` and `chmod 600 %s`",
			ErrExposed, path, owner, agent, agent, path, path)
	}
	if mode.Perm()&0o077 != 0 {
		return fmt.Errorf("%w: %s has the permissions %04o, and only its owner may have any: `chmod 600 %s`", ErrExposed, path, mode.Perm(), path)
	}
	return nil
}
