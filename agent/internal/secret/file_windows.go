package secret

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

func openFile(path string) (*os.File, error) { return os.Open(path) }

// checkReaders is [ErrExposed] where the file's access list lets others read than the system, administrators, its owner and
// the agent's user.
func checkReaders(f *os.File, path string) error {
	descriptor, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("who can read %s: %w", path, err)
	}
	owner, _, err := descriptor.Owner()
	if err != nil {
		return fmt.Errorf("who owns %s: %w", path, err)
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("who the agent's user is: %w", err)
	}
	list, _, err := descriptor.DACL()
	if err != nil {
		return fmt.Errorf("who can read %s: %w", path, err)
	}
	remedy := fmt.Sprintf("`icacls \"%s\" /inheritance:r /grant:r *%s:F *%s:F *%s:R`", path, sidSystem, sidAdministrators, user.User.Sid)
	if list == nil { // "a NULL DACL grants full access to any user that requests it" (learn.microsoft.com, Null DACLs)
		return fmt.Errorf("%w: everyone can read %s: %s", ErrExposed, path, remedy)
	}
	grants, err := grantsOf(list)
	if err != nil {
		return fmt.Errorf("who can read %s: %w", path, err)
	}
	if found := others(grants, owner.String(), user.User.Sid.String()); len(found) > 0 {
		for i, sid := range found {
			found[i] = accountName(sid)
		}
		return fmt.Errorf("%w: %s can be read by %s: %s", ErrExposed, path, strings.Join(found, ", "), remedy)
	}
	return nil
}

// accessAllowedCallback is ACCESS_ALLOWED_CALLBACK_ACE_TYPE: it allows under a condition, and begins as one that allows.
const accessAllowedCallback = 9

func grantsOf(list *windows.ACL) ([]grant, error) {
	var grants []grant
	for i := range uint32(list.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, i, &ace); err != nil {
			return nil, err
		}
		allows := ace.Header.AceType == windows.ACCESS_ALLOWED_ACE_TYPE || ace.Header.AceType == accessAllowedCallback
		if allows && ace.Header.AceFlags&windows.INHERIT_ONLY_ACE == 0 {
			sid := (*windows.SID)(unsafe.Pointer(&ace.SidStart))
			grants = append(grants, grant{sid: sid.String(), mask: uint32(ace.Mask)})
		}
	}
	return grants, nil
}

// accountName returns DOMAIN\name, or the SID where it has no name.
func accountName(text string) string {
	sid, err := windows.StringToSid(text)
	if err != nil {
		return text
	}
	name, domain, _, err := sid.LookupAccount("")
	if err != nil {
		return text
	}
	return strings.TrimPrefix(domain+`\`+name, `\`)
}
