package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ErrNotRegular says that something other than a regular file, such as a directory, a link or a FIFO, has the name.
var ErrNotRegular = errors.New("not a regular file")

func lstatRegular(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return notRegular(name, info)
	}
	return nil
}

func notRegular(name string, info fs.FileInfo) error {
	return fmt.Errorf("%q is %w but %v", name, ErrNotRegular, info.Mode().Type())
}
