package metrics

import (
	"errors"
	"io/fs"
	"os"
)

// usage returns how many bytes of its volume the files in a directory take. What vanishes while it looks counts nothing.
func usage(dir string) (sizeBytes int64, err error) {
	err = fs.WalkDir(os.DirFS(dir), ".", func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreVanished(err)
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreVanished(err)
		}
		sizeBytes += allocatedBytes(info)
		return nil
	})
	return sizeBytes, err
}

func ignoreVanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
