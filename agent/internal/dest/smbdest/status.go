package smbdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	smb2 "github.com/cloudsoda/go-smb2"
	plainsmb2 "github.com/hirochachacha/go-smb2"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Statuses that the driver acts on, or that the libraries give without a number (MS-ERREF section 2.3.1).
const (
	statusStoppedOnSymlink   = 0x8000002D
	statusNotImplemented     = 0xC0000002
	statusInvalidParameter   = 0xC000000D
	statusNoSuchFile         = 0xC000000F
	statusInvalidDevice      = 0xC0000010
	statusAccessDenied       = 0xC0000022
	statusNameNotFound       = 0xC0000034
	statusNameCollision      = 0xC0000035
	statusPathNotFound       = 0xC000003A
	statusSharingViolation   = 0xC0000043
	statusFileIsADirectory   = 0xC00000BA
	statusNotSupported       = 0xC00000BB
	statusNetworkNameDeleted = 0xC00000C9
	statusBadNetworkName     = 0xC00000CC
	statusNotAccepted        = 0xC00000D0
	statusDirectoryNotEmpty  = 0xC0000101
	statusNotADirectory      = 0xC0000103
	statusSessionDeleted     = 0xC0000203
	statusSessionExpired     = 0xC000035C
	statusVolumeDismounted   = 0xC000026E
)

// statusNames returns the symbols of the statuses that a copy can meet, as the server's administrator looks them up.
func statusNames() map[uint32]string {
	return map[uint32]string{
		0x00000102: "STATUS_TIMEOUT", 0x8000002D: "STATUS_STOPPED_ON_SYMLINK",
		0xC0000001: "STATUS_UNSUCCESSFUL", 0xC0000002: "STATUS_NOT_IMPLEMENTED", 0xC0000008: "STATUS_INVALID_HANDLE",
		0xC000000D: "STATUS_INVALID_PARAMETER", 0xC000000F: "STATUS_NO_SUCH_FILE", 0xC0000010: "STATUS_INVALID_DEVICE_REQUEST",
		0xC0000022: "STATUS_ACCESS_DENIED", 0xC0000032: "STATUS_DISK_CORRUPT_ERROR", 0xC0000033: "STATUS_OBJECT_NAME_INVALID",
		0xC0000034: "STATUS_OBJECT_NAME_NOT_FOUND", 0xC0000035: "STATUS_OBJECT_NAME_COLLISION",
		0xC000003A: "STATUS_OBJECT_PATH_NOT_FOUND", 0xC000003B: "STATUS_OBJECT_PATH_SYNTAX_BAD", 0xC000003E: "STATUS_DATA_ERROR",
		0xC000003F: "STATUS_CRC_ERROR", 0xC0000043: "STATUS_SHARING_VIOLATION", 0xC0000044: "STATUS_QUOTA_EXCEEDED",
		0xC0000054: "STATUS_FILE_LOCK_CONFLICT", 0xC0000055: "STATUS_LOCK_NOT_GRANTED", 0xC0000056: "STATUS_DELETE_PENDING",
		0xC000005E: "STATUS_NO_LOGON_SERVERS", 0xC000005F: "STATUS_NO_SUCH_LOGON_SESSION", 0xC0000061: "STATUS_PRIVILEGE_NOT_HELD",
		0xC0000064: "STATUS_NO_SUCH_USER", 0xC000006A: "STATUS_WRONG_PASSWORD", 0xC000006D: "STATUS_LOGON_FAILURE",
		0xC000006E: "STATUS_ACCOUNT_RESTRICTION", 0xC000006F: "STATUS_INVALID_LOGON_HOURS", 0xC0000070: "STATUS_INVALID_WORKSTATION",
		0xC0000071: "STATUS_PASSWORD_EXPIRED", 0xC0000072: "STATUS_ACCOUNT_DISABLED", 0xC000007F: "STATUS_DISK_FULL",
		0xC0000098: "STATUS_FILE_INVALID", 0xC000009A: "STATUS_INSUFFICIENT_RESOURCES", 0xC000009D: "STATUS_DEVICE_NOT_CONNECTED",
		0xC00000A2: "STATUS_MEDIA_WRITE_PROTECTED", 0xC00000A3: "STATUS_DEVICE_NOT_READY", 0xC00000B5: "STATUS_IO_TIMEOUT",
		0xC00000BA: "STATUS_FILE_IS_A_DIRECTORY", 0xC00000BB: "STATUS_NOT_SUPPORTED", 0xC00000BC: "STATUS_REMOTE_NOT_LISTENING",
		0xC00000BE: "STATUS_BAD_NETWORK_PATH", 0xC00000BF: "STATUS_NETWORK_BUSY", 0xC00000C0: "STATUS_DEVICE_DOES_NOT_EXIST",
		0xC00000C2: "STATUS_ADAPTER_HARDWARE_ERROR", 0xC00000C3: "STATUS_INVALID_NETWORK_RESPONSE",
		0xC00000C4: "STATUS_UNEXPECTED_NETWORK_ERROR", 0xC00000C9: "STATUS_NETWORK_NAME_DELETED",
		0xC00000CA: "STATUS_NETWORK_ACCESS_DENIED", 0xC00000CC: "STATUS_BAD_NETWORK_NAME", 0xC00000CE: "STATUS_TOO_MANY_SESSIONS",
		0xC00000CF: "STATUS_SHARING_PAUSED", 0xC00000D0: "STATUS_REQUEST_NOT_ACCEPTED", 0xC00000D4: "STATUS_NOT_SAME_DEVICE",
		0xC00000D6: "STATUS_VIRTUAL_CIRCUIT_CLOSED", 0xC0000101: "STATUS_DIRECTORY_NOT_EMPTY",
		0xC0000102: "STATUS_FILE_CORRUPT_ERROR", 0xC0000103: "STATUS_NOT_A_DIRECTORY", 0xC0000106: "STATUS_NAME_TOO_LONG",
		0xC0000121: "STATUS_CANNOT_DELETE", 0xC0000128: "STATUS_FILE_CLOSED", 0xC0000133: "STATUS_TIME_DIFFERENCE_AT_DC",
		0xC000015B: "STATUS_LOGON_TYPE_NOT_GRANTED", 0xC0000185: "STATUS_IO_DEVICE_ERROR",
		0xC000018D: "STATUS_TRUSTED_RELATIONSHIP_FAILURE", 0xC0000193: "STATUS_ACCOUNT_EXPIRED",
		0xC0000195: "STATUS_NETWORK_CREDENTIAL_CONFLICT", 0xC0000203: "STATUS_USER_SESSION_DELETED",
		0xC0000205: "STATUS_INSUFF_SERVER_RESOURCES", 0xC000020C: "STATUS_CONNECTION_DISCONNECTED",
		0xC000020D: "STATUS_CONNECTION_RESET", 0xC0000224: "STATUS_PASSWORD_MUST_CHANGE", 0xC000022D: "STATUS_RETRY",
		0xC0000234: "STATUS_ACCOUNT_LOCKED_OUT", 0xC0000236: "STATUS_CONNECTION_REFUSED", 0xC0000237: "STATUS_GRACEFUL_DISCONNECT",
		0xC000023C: "STATUS_NETWORK_UNREACHABLE", 0xC000023D: "STATUS_HOST_UNREACHABLE", 0xC0000241: "STATUS_CONNECTION_ABORTED",
		0xC000026E: "STATUS_VOLUME_DISMOUNTED", 0xC000035C: "STATUS_NETWORK_SESSION_EXPIRED",
		0xC0000802: "STATUS_DISK_QUOTA_EXCEEDED", 0xC0000904: "STATUS_FILE_TOO_LARGE", 0xC0000906: "STATUS_VIRUS_INFECTED",
		0xC0000907: "STATUS_VIRUS_DELETED",
	}
}

// plain is an error's text with another meaning than the error had: the libraries say fs.ErrNotExist of what is only not
// found.
type plain struct {
	text  string
	means error // nil for nothing
}

func (p plain) Error() string { return p.text }

func (p plain) Unwrap() error { return p.means }

// newStatus returns what the driver says of a status.
func newStatus(status uint32, err error) *dest.CodeError {
	cause := plain{text: err.Error()}
	switch status {
	case statusNameCollision:
		cause.means = fs.ErrExist
	case statusAccessDenied:
		cause.means = fs.ErrPermission
	}
	return &dest.CodeError{Space: dest.SpaceNTStatus, Number: int64(status), Name: statusNames()[status], Cause: cause}
}

// asStatus returns the status that a library's error stands for.
func asStatus(err error) (uint32, bool) {
	if e, ok := errors.AsType[*smb2.ResponseError](err); ok {
		return e.Code, true
	}
	if e, ok := errors.AsType[*plainsmb2.ResponseError](err); ok {
		return e.Code, true
	}
	if e, ok := errors.AsType[*dest.CodeError](err); ok && e.Space == dest.SpaceNTStatus {
		return uint32(e.Number), true
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // also STATUS_OBJECT_PATH_NOT_FOUND
		return statusNameNotFound, true
	case errors.Is(err, fs.ErrExist):
		return statusNameCollision, true
	case errors.Is(err, fs.ErrPermission): // also STATUS_CANNOT_DELETE
		return statusAccessDenied, true
	case errors.Is(err, smb2.ErrRequestNotAccepted):
		return statusNotAccepted, true
	}
	return 0, false
}

func hasStatus(err error) bool { _, ok := asStatus(err); return ok }

// hasAny reports whether err has one of the statuses.
func hasAny(err error, statuses ...uint32) bool {
	got, ok := asStatus(err)
	for _, status := range statuses {
		if ok && got == status {
			return true
		}
	}
	return false
}

// isMissing reports that the server did not find a name, which does not say that it is absent: see [handle.missing].
func isMissing(err error) bool {
	return hasAny(err, statusNameNotFound, statusPathNotFound, statusNoSuchFile, statusNotADirectory)
}

// isBroken reports that the server's answer was understood as an answer, but not what it said.
func isBroken(err error) bool {
	if _, ok := errors.AsType[*smb2.InvalidResponseError](err); ok {
		return true
	}
	_, ok := errors.AsType[*plainsmb2.InvalidResponseError](err)
	return ok
}

// explain gives a library's error its meaning in the contract, except that what is not found is not yet fs.ErrNotExist.
func (l *link) explain(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if status, ok := asStatus(err); ok {
		code := newStatus(status, err)
		switch status {
		case statusStoppedOnSymlink:
			return fmt.Errorf("%w: a link is in the way: %w", dest.ErrConflict, code)
		case statusNetworkNameDeleted, statusBadNetworkName, statusSessionDeleted, statusSessionExpired, statusVolumeDismounted:
			return l.smb.unreachable(code)
		}
		return code
	}
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	if e, ok := errors.AsType[*smb2.TransportError](err); ok {
		return l.smb.unreachable(lost(e.Err))
	}
	if e, ok := errors.AsType[*plainsmb2.TransportError](err); ok {
		return l.smb.unreachable(lost(e.Err))
	}
	return fmt.Errorf("the server's answer: %w", err)
}
