package secret

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// maxTarget is CRED_MAX_GENERIC_TARGET_NAME_LENGTH (learn.microsoft.com, CREDENTIALW).
const maxTarget = 32767

func checkCredential(name string) error {
	if len(name) > maxTarget || strings.Contains(name, "\x00") {
		return fmt.Errorf("credential has %d characters; give the name of a generic credential", len(name))
	}
	return nil
}

// credential is CREDENTIALW (learn.microsoft.com, wincred.h).
type credential struct {
	Flags              uint32
	Type               uint32
	TargetName         *uint16
	Comment            *uint16
	LastWritten        windows.Filetime
	CredentialBlobSize uint32
	CredentialBlob     *byte
	Persist            uint32
	AttributeCount     uint32
	Attributes         uintptr
	TargetAlias        *uint16
	UserName           *uint16
}

const credTypeGeneric = 1

// readCredential reads a generic credential of the user that this process runs as.
func readCredential(name string) ([]byte, error) {
	target, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, fmt.Errorf("credential %q: %w", name, err)
	}
	advapi := windows.NewLazySystemDLL("advapi32.dll")
	read, free := advapi.NewProc("CredReadW"), advapi.NewProc("CredFree")
	var found *credential
	ok, _, err := read.Call(uintptr(unsafe.Pointer(target)), credTypeGeneric, 0, uintptr(unsafe.Pointer(&found)))
	if ok == 0 {
		if errors.Is(err, windows.ERROR_NOT_FOUND) {
			return nil, fmt.Errorf("the agent's user has no generic credential %q: store it as that user, with `cmdkey /generic:%s /user:USER /pass`: %w", name, name, err)
		}
		return nil, fmt.Errorf("the generic credential %q: %w", name, err)
	}
	defer free.Call(uintptr(unsafe.Pointer(found)))
	return credentialText(unsafe.Slice(found.CredentialBlob, found.CredentialBlobSize)), nil
}
