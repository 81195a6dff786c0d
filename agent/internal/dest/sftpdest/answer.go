package sftpdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/pkg/sftp"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// The statuses that are acted upon: filexfer-02 section 7; from 9 on, of later drafts, which some servers send all the same.
const (
	fxEOF              = 1
	fxNoSuchFile       = 2
	fxPermissionDenied = 3
	fxFailure          = 4
	fxBadMessage       = 5
	fxNoConnection     = 6
	fxConnectionLost   = 7
	fxOpUnsupported    = 8
)

// statusNames are the symbols of filexfer-13 section 9.1, by number.
var statusNames = [...]string{
	"OK", "EOF", "NO_SUCH_FILE", "PERMISSION_DENIED", "FAILURE", "BAD_MESSAGE", "NO_CONNECTION", "CONNECTION_LOST", "OP_UNSUPPORTED",
	"INVALID_HANDLE", "NO_SUCH_PATH", "FILE_ALREADY_EXISTS", "WRITE_PROTECT", "NO_MEDIA", "NO_SPACE_ON_FILESYSTEM", "QUOTA_EXCEEDED",
	"UNKNOWN_PRINCIPAL", "LOCK_CONFLICT", "DIR_NOT_EMPTY", "NOT_A_DIRECTORY", "INVALID_FILENAME", "LINK_LOOP", "CANNOT_DELETE",
	"INVALID_PARAMETER", "FILE_IS_A_DIRECTORY", "BYTE_RANGE_LOCK_CONFLICT", "BYTE_RANGE_LOCK_REFUSED", "DELETE_PENDING",
	"FILE_CORRUPT", "OWNER_INVALID", "GROUP_INVALID", "NO_MATCHING_BYTE_RANGE_LOCK",
}

// errNoSuchFile is the cause of SSH_FX_NO_SUCH_FILE. It is not fs.ErrNotExist: OpenSSH says the same of a path through a
// file, of a loop of links, and of a lost handle. What is truly absent is proven; see [handle.provenAbsent].
var errNoSuchFile = errors.New("the server finds no such file")

// status returns the number of the status that a request was answered with, and false where it was not answered.
func status(err error) (number int64, cause error, ok bool) {
	if answer, ok := errors.AsType[*sftp.StatusError](err); ok {
		return int64(answer.Code), answer, answer.Code != fxNoConnection && answer.Code != fxConnectionLost
	}
	// The library puts other errors in the place of some statuses. Its io.EOF is bare where it is a status, and wrapped
	// where the connection ended.
	switch {
	case err == io.EOF:
		return fxEOF, err, true
	case errors.Is(err, fs.ErrNotExist):
		return fxNoSuchFile, errNoSuchFile, true
	case errors.Is(err, fs.ErrPermission):
		return fxPermissionDenied, err, true
	}
	return 0, err, false
}

// isStatus reports whether err is an answer with this status: an error of the library, or one that was explained.
func isStatus(err error, number int64) bool {
	if code, ok := errors.AsType[*dest.CodeError](err); ok {
		return code.Space == dest.SpaceSFTP && code.Number == number
	}
	got, _, ok := status(err)
	return ok && got == number
}

// explain gives the error of a request its meaning in the contract: an answer is a dest.CodeError, and never
// fs.ErrNotExist; without an answer the place is unreachable, and the connection is closed, or the context has ended.
func (h *handle) explain(ctx context.Context, what string, err error) error {
	number, cause, answered := status(err)
	if answered {
		name := ""
		if number < int64(len(statusNames)) {
			name = "SSH_FX_" + statusNames[number]
		}
		return &dest.CodeError{Space: dest.SpaceSFTP, Number: number, Name: name, Cause: fmt.Errorf("%s: %w", what, cause)}
	}
	lost := h.line.lose(err)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	return h.sftp.unreachable(fmt.Errorf("%s: %w", what, lost))
}

// Numbers of Linux and the flag of a read-only file system (openssh-portable, file PROTOCOL, section 4.4).
const (
	enospc         = 28
	erofs          = 30
	statVFSFlagRDO = 1
)

// withEvidence looks behind a status that hides why something could not be written: OpenSSH answers SSH_FX_FAILURE for a
// full disk and for many other things. It adds the error number that the server's own figures speak for, if any. need is
// how many bytes were to be written.
func (h *handle) withEvidence(ctx context.Context, err error, need int64) error {
	failed := isStatus(err, fxFailure)
	if !failed && !isStatus(err, fxPermissionDenied) || !h.has(extStatVFS) {
		return err
	}
	var vfs *sftp.StatVFS
	if h.do(ctx, "measure", ".", func() (err error) { vfs, err = h.client.StatVFS(h.abs(".")); return err }) != nil {
		return err
	}
	space := spaceOf(vfs)
	switch {
	case vfs.Flag&statVFSFlagRDO != 0:
		return &dest.CodeError{Space: dest.SpaceErrno, Number: erofs, Name: "EROFS", Cause: err}
	case failed && (space.FreeBytes == 0 || space.FreeBytes < need):
		return &dest.CodeError{Space: dest.SpaceErrno, Number: enospc, Name: "ENOSPC", Cause: err}
	case failed && space.FreeInodes == 0:
		return &dest.CodeError{Space: dest.SpaceErrno, Number: enospc, Name: "ENOSPC", Cause: fmt.Errorf("no inodes are left: %w", err)}
	}
	return err
}

// spaceOf turns the server's figures into those of the contract.
func spaceOf(vfs *sftp.StatVFS) dest.Space {
	s := dest.Space{
		FreeBytes:  int64(vfs.Bavail * vfs.Frsize),
		FreeInodes: int64(vfs.Favail),
		TotalBytes: int64(vfs.Blocks * vfs.Frsize),
	}
	if vfs.Files == 0 {
		s.FreeInodes = -1
	}
	return s
}

// Space implements dest.Spacer.
func (h *handle) Space(ctx context.Context) (dest.Space, error) {
	if !h.has(extStatVFS) {
		return dest.Space{}, fmt.Errorf("the server does not offer %s: %w", extStatVFS, errors.ErrUnsupported)
	}
	var vfs *sftp.StatVFS
	err := h.do(ctx, "measure", ".", func() (err error) { vfs, err = h.client.StatVFS(h.abs(".")); return err })
	if err != nil {
		return dest.Space{}, err
	}
	return spaceOf(vfs), nil
}
