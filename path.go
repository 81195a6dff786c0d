package backup

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of a portable path, in bytes.
const (
	MaxPathBytes      = 800
	MaxComponentBytes = 200
)

// OwnPrefix begins the name of every file and folder that the agent keeps at a destination for itself. No
// item's path begins with it, in any case.
const OwnPrefix = ".wolkvox"

// ForbiddenRunes are the printable characters that no component of a portable path holds.
const ForbiddenRunes = `<>:"\|?*`

// CheckPath reports why path is not portable: valid on Windows, Linux, SMB, S3 and Azure alike (proto/README.md,
// section 1.4). It returns nil for a portable path. It says nothing on whether another path differs from
// it by case or Unicode form only; the server sees to that when it seals.
func CheckPath(path string) error {
	switch {
	case path == "":
		return errors.New("the path is empty")
	case len(path) > MaxPathBytes:
		return fmt.Errorf("the path has %d bytes, more than %d", len(path), MaxPathBytes)
	case !utf8.ValidString(path):
		return errors.New("the path is not valid UTF-8")
	case len(path) >= len(OwnPrefix) && upperASCII(path[:len(OwnPrefix)]) == upperASCII(OwnPrefix):
		return fmt.Errorf("the path begins with %s, which the agent keeps for itself", OwnPrefix)
	}
	for component := range strings.SplitSeq(path, "/") {
		if err := CheckComponent(component); err != nil {
			return err
		}
	}
	return nil
}

// CheckComponent reports why name cannot be one component of a portable path. It does not check [OwnPrefix].
func CheckComponent(name string) error {
	switch {
	case name == "":
		return errors.New("a component of the path is empty")
	case name == "." || name == "..":
		return fmt.Errorf("the path has a component %q", name)
	case len(name) > MaxComponentBytes:
		return fmt.Errorf("a component of the path has %d bytes, more than %d", len(name), MaxComponentBytes)
	case name[0] == ' ':
		return fmt.Errorf("the component %q begins with a space", name)
	case name[len(name)-1] == ' ' || name[len(name)-1] == '.':
		return fmt.Errorf("the component %q ends in a dot or a space", name)
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || strings.ContainsRune(ForbiddenRunes, r) {
			return fmt.Errorf("the component %q holds the character %q", name, r)
		}
	}
	if IsReservedName(name) {
		return fmt.Errorf("the component %q is a device on Windows", name)
	}
	return nil
}

// IsReservedName reports whether Windows takes a component of this name for a device, whatever follows its
// first dot.
func IsReservedName(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = upperASCII(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(base, "COM")
	if !ok {
		port, ok = strings.CutPrefix(base, "LPT")
	}
	if !ok {
		return false
	}
	switch port {
	case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
		return true
	}
	return false
}

func upperASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}
