package smbdest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	smb2 "github.com/cloudsoda/go-smb2"
	plainsmb2 "github.com/hirochachacha/go-smb2"

	"github.com/wolkvox/backup/agent/internal/dest"
)

func newTestLink() *link {
	l := &link{smb: New(Options{Address: "nas:445", Share: "recordings"})}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	return l
}

// TestStatuses: every status reaches the caller with its number and name, from either library, and none is absence.
func TestStatuses(t *testing.T) {
	t.Parallel()
	unreachable := map[uint32]bool{0xC00000C9: true, 0xC00000CC: true, 0xC0000203: true, 0xC000035C: true, 0xC000026E: true}
	for status, name := range statusNames() {
		if !strings.HasPrefix(name, "STATUS_") {
			t.Errorf("%#x has the name %q", status, name)
		}
		for _, cause := range []error{&smb2.ResponseError{Code: status}, &plainsmb2.ResponseError{Code: status}} {
			err := newTestLink().explain(&fs.PathError{Op: "open", Path: `a\b`, Err: cause})
			code, ok := errors.AsType[*dest.CodeError](err)
			if !ok || code.Space != dest.SpaceNTStatus || code.Number != int64(status) || code.Name != name {
				t.Errorf("%s became %v", name, err)
			}
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is absence", name)
			}
			if got := errors.Is(err, dest.ErrUnreachable); got != unreachable[status] {
				t.Errorf("%s: unreachable is %v", name, got)
			}
			if got := errors.Is(err, dest.ErrConflict); got != (status == statusStoppedOnSymlink) {
				t.Errorf("%s: conflict is %v", name, got)
			}
			if got := isMissing(err); got != (status == 0xC0000034 || status == 0xC000003A || status == 0xC000000F || status == 0xC0000103) {
				t.Errorf("%s: missing is %v", name, got)
			}
		}
	}
}

// TestErrorsWithoutNumber: some statuses come from the libraries as errors of package fs, and some errors are no statuses.
func TestErrorsWithoutNumber(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cause error
		name  string
		means error
	}{
		{os.ErrNotExist, "STATUS_OBJECT_NAME_NOT_FOUND", nil},
		{os.ErrExist, "STATUS_OBJECT_NAME_COLLISION", fs.ErrExist},
		{os.ErrPermission, "STATUS_ACCESS_DENIED", fs.ErrPermission},
		{smb2.ErrRequestNotAccepted, "STATUS_REQUEST_NOT_ACCEPTED", nil},
	} {
		err := newTestLink().explain(&os.LinkError{Op: "rename", Old: "a", New: "b", Err: test.cause})
		code, ok := errors.AsType[*dest.CodeError](err)
		if !ok || code.Name != test.name || statusNames()[uint32(code.Number)] != test.name {
			t.Errorf("%v became %v", test.cause, err)
		}
		for _, is := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrPermission} {
			if got := errors.Is(err, is); got != (is == test.means) {
				t.Errorf("%v: errors.Is(%v) is %v", test.cause, is, got)
			}
		}
	}
	reset := os.NewSyscallError("read", os.ErrDeadlineExceeded)
	for _, cause := range []error{&smb2.TransportError{Err: reset}, &plainsmb2.TransportError{Err: reset}} {
		err := newTestLink().explain(cause)
		if !errors.Is(err, dest.ErrUnreachable) {
			t.Errorf("a broken connection became %v", err)
		}
		if _, ok := errors.AsType[*os.SyscallError](err); !ok {
			t.Errorf("the cause is lost: %v", err)
		}
	}
	l := newTestLink()
	l.end(l.smb.unreachable(errors.New("it was cut")))
	if err := l.explain(context.Canceled); !errors.Is(err, dest.ErrUnreachable) || errors.Is(err, context.Canceled) {
		t.Errorf("a call on a dead connection: %v", err)
	}
	if err := newTestLink().explain(&smb2.InvalidResponseError{Message: "broken"}); err == nil || errors.Is(err, dest.ErrUnreachable) {
		t.Errorf("an answer that makes no sense: %v", err)
	}
}
