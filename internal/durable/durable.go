// Package durable writes to local file systems, and to mounted ones, so that what it reports as done survives a
// power cut, and names the sources that say why. It is small on purpose: whole files, directories, renaming without
// replacing, flushing a file system, reading past the cache, and free space. It does not choose names, does not
// retry, and does not interpret the system's errors.
//
// # What is relied upon
//
//   - fsync(2): "Calling fsync() does not necessarily ensure that the entry in the directory containing the file
//     has also reached disk. For that an explicit fsync() on a file descriptor for the directory is also needed."
//   - After a failed fsync the file's pages may be marked clean without having been written (Rebello et al., "Can
//     Applications Recover from fsync Failures?", USENIX ATC 2020; lwn.net/Articles/752063). So a failed sync is
//     never tried again: the file is unknown and is written anew.
//   - close(2): "A careful programmer will check the return value of close(), since it is quite possible that
//     errors on a previous write(2) operation are reported only on the final close()". NFS and quotas do this.
//   - rename(2): replacing is atomic, and RENAME_NOREPLACE answers EEXIST where the name is taken.
//   - syncfs(2): "In mainline kernel versions prior to 5.8, syncfs() will fail only when passed a bad file
//     descriptor (EBADF). Since Linux 5.8, syncfs() will also report an error if one or more inodes failed to be
//     written back since the last syncfs() call": since the descriptor was opened, for its first call.
//   - Windows: FlushFileBuffers flushes a file, and cannot be called on a directory opened without write access
//     (learn.microsoft.com, FlushFileBuffers); NTFS and ReFS log their metadata, and "a write-through request via
//     FILE_FLAG_WRITE_THROUGH also causes NTFS to flush any metadata changes, such as a time stamp update or a
//     rename operation, that result from processing the request" (learn.microsoft.com, CreateFileW).
//
// The order of steps is the one that sunlight's internal/durable and SQLite's atomic commit use: write a
// temporary file in the same directory, sync it, check its close, rename it, sync the directory.
package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// WriteFile replaces the file at path by data. After a nil error the contents and the name are durable; after any
// other error, or a crash, the file is whole: the old one or the new one. perm applies before the umask.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(WriteFileIn(root, filepath.Base(path), data, perm), root.Close())
}

// WriteFileIn is [WriteFile] for a name below root, with slashes.
func WriteFileIn(root *os.Root, name string, data []byte, perm fs.FileMode) error {
	temp := path.Join(path.Dir(name), "."+path.Base(name)+tempInfix+randomSuffix())
	if err := writeSynced(root, temp, data, perm); err != nil {
		return err
	}
	if err := root.Rename(temp, name); err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	return SyncDirIn(root, path.Dir(name))
}

// IsTemp reports whether a file name is that of a temporary file that [WriteFile] was using when its process was
// killed. Such a file may be removed once nobody else writes there.
func IsTemp(name string) bool {
	prefix, suffix, ok := strings.Cut(name, tempInfix)
	return ok && strings.HasPrefix(prefix, ".") && len(suffix) == len(randomSuffix())
}

const tempInfix = ".tmp-"

func randomSuffix() string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func writeSynced(root *os.Root, name string, data []byte, perm fs.FileMode) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, root.Remove(name))
	}
	return nil
}

// CreateDir makes the directory at path, and those above it that are missing, durably. A directory that exists is
// not an error, and is taken to be durable. perm applies before the umask.
func CreateDir(path string, perm fs.FileMode) error {
	path = filepath.Clean(path)
	err := os.Mkdir(path, perm)
	parent := filepath.Dir(path)
	if errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := CreateDir(parent, perm); err != nil {
			return err
		}
		err = os.Mkdir(path, perm)
	}
	if errors.Is(err, fs.ErrExist) {
		info, statErr := os.Stat(path)
		if statErr != nil {
			return statErr
		}
		if info.IsDir() {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return SyncDir(parent)
}

// SyncDir makes the entries of the directory at path durable: what was made, renamed and removed in it. On
// Windows, where a directory cannot be flushed, it only sees to it that there is one; see the package comment.
func SyncDir(path string) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	return errors.Join(SyncDirIn(root, "."), root.Close())
}

// SyncDirIn is [SyncDir] for a directory below root.
func SyncDirIn(root *os.Root, name string) error {
	dir, err := OpenDir(root, name)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(dir), dir.Close())
}

// SyncFileIn makes the contents of a regular file below root durable that was written through another descriptor,
// perhaps by another process. Anything else in its place is [ErrNotRegular], and never blocks. On Linux a failure
// to write it back that happened before, and that nobody was told of, is reported (fsync(2), ERRORS). On Windows
// it needs the right to write to the file.
func SyncFileIn(root *os.Root, name string) error {
	f, err := openToSync(root, name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// RenameNoReplace renames oldPath to newPath, and returns fs.ErrExist if newPath is taken by anything. It does not
// make the rename durable. Where the system can do it only by linking and unlinking, a crash in between leaves
// the file under both names.
func RenameNoReplace(oldPath, newPath string) error {
	if err := renameNoReplace(oldPath, newPath); err != nil {
		return &os.LinkError{Op: "rename without replacing", Old: oldPath, New: newPath, Err: err}
	}
	return nil
}

// RenameNoReplaceAt is [RenameNoReplace] with each name, of one component, in an open directory.
func RenameNoReplaceAt(oldDir *os.File, oldName string, newDir *os.File, newName string) error {
	for _, name := range []string{oldName, newName} {
		if name == "" || name == "." || name == ".." || strings.ContainsFunc(name, func(r rune) bool { return r < 0x80 && os.IsPathSeparator(uint8(r)) }) {
			return fmt.Errorf("rename without replacing: %q is not one component: %w", name, fs.ErrInvalid)
		}
	}
	if err := renameNoReplaceAt(oldDir, oldName, newDir, newName); err != nil {
		return &os.LinkError{Op: "rename without replacing", Old: filepath.Join(oldDir.Name(), oldName), New: filepath.Join(newDir.Name(), newName), Err: err}
	}
	return nil
}

// WriteBallast makes a file of sizeBytes that really occupies its space, durably, to be removed when space runs out.
// A file of that size that is there already is kept; one of another size is replaced.
func WriteBallast(path string, sizeBytes int64) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() == sizeBytes {
		return nil
	}
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = fill(f, sizeBytes)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return SyncDir(filepath.Dir(path))
}

// fill gives f its size with space behind it: by reservation, or else with random bytes, which no file system
// compresses away.
func fill(f *os.File, sizeBytes int64) error {
	err := Preallocate(f, sizeBytes)
	if err == nil {
		return f.Truncate(sizeBytes)
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	block := make([]byte, 1<<20)
	for left := sizeBytes; left > 0; left -= int64(len(block)) {
		block = block[:min(left, int64(len(block)))]
		rand.Read(block) // never fails (crypto/rand)
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}
