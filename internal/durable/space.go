package durable

import (
	"errors"
	"os"
)

// Space is what a volume can still take, from the caller.
type Space struct {
	FreeBytes  int64 // available to this user: reserved blocks left out, on Windows quotas counted
	FreeInodes int64 // -1 where the file system has no fixed number of them
	TotalBytes int64
}

// FreeBytes returns what is free on the volume of the directory at path.
func FreeBytes(path string) (int64, error) {
	dir, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	space, err := FreeSpace(dir)
	return space.FreeBytes, errors.Join(err, dir.Close())
}
