package localdest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/localdest"
)

// TestNoSuchDrive: what a service sees of a drive that a person mapped is no drive at all, and the remedy is named.
func TestNoSuchDrive(t *testing.T) {
	t.Parallel()
	drives, err := windows.GetLogicalDrives()
	if err != nil {
		t.Fatal(err)
	}
	free := byte('D')
	for drives&(1<<(free-'A')) != 0 {
		free++
	}
	_, err = localdest.New(fmt.Sprintf(`%c:\recordings`, free)).Open(t.Context())
	code, ok := errors.AsType[*dest.CodeError](err)
	if !errors.Is(err, dest.ErrUnreachable) || !ok || code.Name != dest.CodeMappedDrive || !strings.Contains(err.Error(), "UNC path") {
		t.Errorf("opening a folder on %c: = %v", free, err)
	}
}

// TestLoginThatFails: the system's code is kept, and no error shows the password.
func TestLoginThatFails(t *testing.T) {
	t.Parallel()
	open := func(password func() (string, error)) error {
		l, err := localdest.NewWithLogin(`\\127.0.0.1\recordings\calls`, localdest.Login{User: "backup", Domain: "NAS", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Open(t.Context())
		return err
	}
	err := open(func() (string, error) { return "correct horse", nil })
	var errno windows.Errno
	if !errors.Is(err, dest.ErrUnreachable) || !errors.As(err, &errno) || !strings.Contains(err.Error(), `\\127.0.0.1\recordings as NAS\backup`) || strings.Contains(err.Error(), "horse") {
		t.Errorf("a share that is not there: %v", err)
	}
	err = open(func() (string, error) { return "", errors.New("others can read the secret") })
	if code, ok := errors.AsType[*dest.CodeError](err); !ok || code.Name != dest.CodeSecret || !errors.Is(err, dest.ErrUnreachable) {
		t.Errorf("a password that cannot be read: %v", err)
	}
}
