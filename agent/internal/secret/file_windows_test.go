package secret

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows"
)

// restrict gives a file the access list that sddl writes; %USER% is the test's own user.
func restrict(t *testing.T, path, sddl string) {
	t.Helper()
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	descriptor, err := windows.SecurityDescriptorFromString(strings.ReplaceAll(sddl, "%USER%", user.User.Sid.String()))
	if err != nil {
		t.Fatal(err)
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	handle, err := windows.CreateFile(name, windows.WRITE_DAC, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(handle)
	if err := windows.SetKernelObjectSecurity(handle, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, descriptor); err != nil {
		t.Fatal(err)
	}
}

func allow(t *testing.T, path string) {
	t.Helper()
	restrict(t, path, "D:P(A;;FA;;;%USER%)")
}

func TestExposed(t *testing.T) {
	t.Parallel()
	for sddl, ok := range map[string]bool{
		"D:P(A;;FA;;;%USER%)":                             true,
		"D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;%USER%)":     true,
		"D:P(A;;FA;;;%USER%)(A;;FR;;;WD)":                 false,
		"D:P(A;;FA;;;SY)(A;;FA;;;%USER%)(A;OIIO;FR;;;WD)": true,
	} {
		path := write(t, "password", hidden, 0o600)
		restrict(t, path, sddl)
		_, err := (&Source{File: path}).Text()
		checkHidden(t, err)
		switch {
		case ok && err != nil:
			t.Errorf("%s: %v", sddl, err)
		case !ok && (!errors.Is(err, ErrExposed) || !strings.Contains(err.Error(), "icacls")):
			t.Errorf("%s: %v", sddl, err)
		}
	}
}

func TestCredential(t *testing.T) {
	t.Parallel()
	const name = "wolkvox-backup test"
	target, err := windows.UTF16PtrFromString(name)
	if err != nil {
		t.Fatal(err)
	}
	user, err := windows.UTF16PtrFromString("agent")
	if err != nil {
		t.Fatal(err)
	}
	password, err := windows.UTF16FromString(hidden)
	if err != nil {
		t.Fatal(err)
	}
	const persistSession = 1
	c := credential{Type: credTypeGeneric, TargetName: target, UserName: user, Persist: persistSession,
		CredentialBlobSize: uint32(2 * len(hidden)), CredentialBlob: (*byte)(unsafe.Pointer(&password[0]))}
	advapi := windows.NewLazySystemDLL("advapi32.dll")
	if ok, _, err := advapi.NewProc("CredWriteW").Call(uintptr(unsafe.Pointer(&c)), 0); ok == 0 {
		t.Fatal(err)
	}
	t.Cleanup(func() { advapi.NewProc("CredDeleteW").Call(uintptr(unsafe.Pointer(target)), credTypeGeneric, 0) })
	if got, err := (&Source{Credential: name}).Text(); err != nil || got != hidden {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := (&Source{Credential: "wolkvox-backup missing"}).Text(); !errors.Is(err, windows.ERROR_NOT_FOUND) {
		t.Errorf("a missing credential: %v", err)
	}
}
