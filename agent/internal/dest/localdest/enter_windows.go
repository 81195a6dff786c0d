package localdest

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// enter makes sure that the directory is one that a service can see: it refuses drive letters that only a person's session
// has, and connects to the server of a UNC path where a login is given.
func (l *Local) enter() error {
	if drive := driveOf(l.dir); drive != "" {
		return checkDrive(l.dir, drive)
	}
	if l.login == nil {
		return nil
	}
	return l.login.connect(shareOf(l.dir))
}

// checkDrive refuses a mapped drive: each logon session has its own ("Services and Redirected Drives", learn.microsoft.com),
// so what a command run by a person sees, the service does not.
func checkDrive(dir, drive string) error {
	root, err := windows.UTF16PtrFromString(drive + `\`)
	if err != nil {
		return err
	}
	kind := windows.GetDriveType(root)
	if kind != windows.DRIVE_REMOTE && kind != windows.DRIVE_NO_ROOT_DIR {
		return nil
	}
	share, err := mappedTo(drive)
	switch {
	case err == nil:
		return mapped(fmt.Errorf("%s is a mapped drive, which only the session that mapped it has: configure %s as directory", drive, behind(dir, share)))
	case kind == windows.DRIVE_REMOTE:
		return mapped(fmt.Errorf(`%s is a mapped drive, which only the session that mapped it has: configure the UNC path (\\SERVER\SHARE\FOLDER) as directory; where it leads is not known: %w`, drive, err))
	}
	return mapped(fmt.Errorf(`the agent sees no drive %s: a drive that a person mapped is not visible to a service; configure the UNC path (\\SERVER\SHARE\FOLDER) `+
		"as directory, with login: where the service's account has no rights there; where it is a disk, connect it", drive))
}

func mapped(cause error) error {
	return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeMappedDrive, Cause: cause}
}

func mpr(name string) *windows.LazyProc { return windows.NewLazySystemDLL("mpr.dll").NewProc(name) }

// mappedTo returns the share that a drive letter is mapped to, also while it is remembered and not connected.
func mappedTo(drive string) (string, error) {
	local, err := windows.UTF16PtrFromString(drive)
	if err != nil {
		return "", err
	}
	buf := make([]uint16, 1024)
	length := uint32(len(buf))
	code, _, _ := mpr("WNetGetConnectionW").Call(uintptr(unsafe.Pointer(local)), uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&length)))
	share := windows.UTF16ToString(buf)
	if err := windows.Errno(code); err != windows.ERROR_SUCCESS && (err != windows.ERROR_CONNECTION_UNAVAIL || share == "") {
		return "", fmt.Errorf("WNetGetConnection: %w", err)
	}
	return share, nil
}

// netResource is NETRESOURCEW (learn.microsoft.com, winnetwk.h).
type netResource struct {
	Scope, Type, DisplayType, Usage          uint32
	LocalName, RemoteName, Comment, Provider *uint16
}

const (
	resourceTypeDisk = 1
	connectTemporary = 4 // CONNECT_TEMPORARY: nobody remembers the connection
)

// connect connects this logon session to a share. It may be called while it is connected as the same user, and then again
// after the connection was lost.
func (g *Login) connect(share string) error {
	password, err := g.password()
	if err != nil {
		return err
	}
	remote, err := windows.UTF16PtrFromString(share)
	if err != nil {
		return err
	}
	user, err := windows.UTF16PtrFromString(g.account())
	if err != nil {
		return err
	}
	secret, err := windows.UTF16PtrFromString(password)
	if err != nil {
		return errors.New("the password holds a zero byte")
	}
	resource := netResource{Type: resourceTypeDisk, RemoteName: remote}
	code, _, _ := mpr("WNetAddConnection2W").Call(uintptr(unsafe.Pointer(&resource)), uintptr(unsafe.Pointer(secret)), uintptr(unsafe.Pointer(user)), connectTemporary)
	switch err := windows.Errno(code); err {
	case windows.ERROR_SUCCESS:
		return nil
	case windows.ERROR_SESSION_CREDENTIAL_CONFLICT:
		return fmt.Errorf("connect to %s as %s: the agent's account is connected to this server as another user, and Windows allows one at a time: "+
			"end that connection as the agent's account (`net use` lists it), or name the server otherwise, as by its address: %w", share, g.account(), err)
	default:
		return fmt.Errorf("connect to %s as %s: %w", share, g.account(), err)
	}
}
