//go:build !linux

package source

import (
	"io/fs"
	"os"
	"time"
)

const (
	fileFlags   = os.O_RDONLY
	folderFlags = os.O_RDONLY
)

func inode(fs.FileInfo) (number uint64, changeTime time.Time) { return 0, time.Time{} }

func volume(fs.FileInfo) uint64 { return 0 }

func syncRoot(*os.Root) error { return nil }
