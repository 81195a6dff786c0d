package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// OpenDir opens a directory below root for [RenameNoReplaceAt], [SyncFS] and [FreeSpace]. What is not a directory is
// an error.
func OpenDir(root *os.Root, name string) (*os.File, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.IsDir() {
		err = &os.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// syncDir does nothing: a directory handle opened for reading cannot be flushed, and the changes of names made here
// are written through (see the package comment).
func syncDir(*os.File) error { return nil }

// renameNoReplace uses MoveFileEx without MOVEFILE_REPLACE_EXISTING, which answers ERROR_ALREADY_EXISTS, and without
// MOVEFILE_COPY_ALLOWED, so that nothing is ever copied. MOVEFILE_WRITE_THROUGH: "the function does not return
// until the file is actually moved on the disk" (learn.microsoft.com, MoveFileExW).
func renameNoReplace(oldPath, newPath string) error {
	from, err := windows.UTF16PtrFromString(oldPath)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(newPath)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(from, to, windows.MOVEFILE_WRITE_THROUGH)
}

// renameInformation is FILE_RENAME_INFORMATION (learn.microsoft.com, ntifs.h) with room for one component.
type renameInformation struct {
	ReplaceIfExists uint32 // a BOOLEAN and its padding; 0: "the rename operation should fail"
	RootDirectory   windows.Handle
	FileNameLength  uint32 // bytes
	FileName        [256]uint16
}

// renameNoReplaceAt renames by handles, through a handle opened for writing through, so that NTFS flushes the rename
// (see the package comment). Redirectors of network shares that refuse a rename relative to a handle are asked by
// path; staging folders have random names, so a path that leads elsewhere by now finds nothing to rename.
func renameNoReplaceAt(oldDir *os.File, oldName string, newDir *os.File, newName string) error {
	err := renameByHandle(oldDir, oldName, newDir, newName)
	switch err {
	case windows.STATUS_INVALID_PARAMETER, windows.STATUS_NOT_SUPPORTED, windows.STATUS_NOT_IMPLEMENTED, windows.STATUS_INVALID_DEVICE_REQUEST:
		return renameNoReplace(filepath.Join(oldDir.Name(), oldName), filepath.Join(newDir.Name(), newName))
	}
	if status, ok := err.(windows.NTStatus); ok {
		return status.Errno()
	}
	return err
}

func renameByHandle(oldDir *os.File, oldName string, newDir *os.File, newName string) error {
	objectName, err := windows.NewNTUnicodeString(oldName)
	if err != nil {
		return err
	}
	attributes := &windows.OBJECT_ATTRIBUTES{
		RootDirectory: windows.Handle(oldDir.Fd()),
		ObjectName:    objectName,
		Attributes:    windows.OBJ_CASE_INSENSITIVE,
	}
	attributes.Length = uint32(unsafe.Sizeof(*attributes))
	var handle windows.Handle
	var status windows.IO_STATUS_BLOCK
	err = windows.NtCreateFile(&handle, windows.SYNCHRONIZE|windows.DELETE|windows.FILE_READ_ATTRIBUTES, attributes, &status,
		nil, 0, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, windows.FILE_OPEN,
		windows.FILE_WRITE_THROUGH|windows.FILE_SYNCHRONOUS_IO_NONALERT|windows.FILE_OPEN_REPARSE_POINT|windows.FILE_OPEN_FOR_BACKUP_INTENT, 0, 0)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(handle)
	name, err := windows.UTF16FromString(newName)
	if err != nil {
		return err
	}
	info := renameInformation{RootDirectory: windows.Handle(newDir.Fd())}
	if len(name) > len(info.FileName) {
		return windows.ERROR_FILENAME_EXCED_RANGE
	}
	info.FileNameLength = uint32(len(name)-1) * 2
	copy(info.FileName[:], name)
	return windows.NtSetInformationFile(handle, &status, (*byte)(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)), windows.FileRenameInformation)
}

// SyncFS is errors.ErrUnsupported: Windows flushes a volume only for administrators.
func SyncFS(dir *os.File) error {
	return &os.PathError{Op: "syncfs", Path: dir.Name(), Err: errors.ErrUnsupported}
}

// SyncFSTrusted is always false.
func SyncFSTrusted(*os.File) (bool, error) { return false, nil }

func openRegular(root *os.Root, name string, flag int) (*os.File, error) {
	if err := lstatRegular(root, name); err != nil {
		return nil, err
	}
	return root.OpenFile(name, flag, 0)
}

func openToSync(root *os.Root, name string) (*os.File, error) {
	return openRegular(root, name, os.O_RDWR)
}

// openUncached opens with FILE_FLAG_NO_BUFFERING: reads then go to the device, or to the share's server
// (learn.microsoft.com, File Buffering). A file system that refuses the flag is read through the cache.
func openUncached(root *os.Root, name string) (*os.File, bool, error) {
	f, err := openRegular(root, name, os.O_RDONLY|windows.O_FILE_FLAG_NO_BUFFERING)
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) || errors.Is(err, windows.ERROR_NOT_SUPPORTED) {
		f, err = openRegular(root, name, os.O_RDONLY)
		return f, false, err
	}
	return f, err == nil, err
}

// FreeSpace returns what the volume of dir can still take. FreeInodes is -1: NTFS has no fixed number of files.
func FreeSpace(dir *os.File) (Space, error) {
	// "If this parameter is a UNC name, it must include a trailing backslash" (learn.microsoft.com,
	// GetDiskFreeSpaceExW).
	path, err := windows.UTF16PtrFromString(filepath.Clean(dir.Name()) + `\`)
	if err != nil {
		return Space{}, err
	}
	var free, total uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, &total, nil); err != nil {
		return Space{}, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: dir.Name(), Err: err}
	}
	return Space{FreeBytes: int64(free), FreeInodes: -1, TotalBytes: int64(total)}, nil
}

// Preallocate reserves space for sizeBytes without changing the file's size (FILE_ALLOCATION_INFO; what is left
// unused is given back when the file is closed); errors.ErrUnsupported where the file system cannot.
func Preallocate(f *os.File, sizeBytes int64) error {
	if sizeBytes <= 0 {
		return nil
	}
	err := windows.SetFileInformationByHandle(windows.Handle(f.Fd()), windows.FileAllocationInfo, (*byte)(unsafe.Pointer(&sizeBytes)), uint32(unsafe.Sizeof(sizeBytes)))
	switch err {
	case nil:
		return nil
	case windows.ERROR_INVALID_PARAMETER, windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED, windows.ERROR_CALL_NOT_IMPLEMENTED:
		err = errors.ErrUnsupported
	}
	return &os.PathError{Op: "preallocate", Path: f.Name(), Err: err}
}
