package secret

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// grant is an entry of a Windows access list that allows something.
type grant struct {
	sid  string // who, as "S-1-5-18"
	mask uint32 // what
}

// Whom a file may let read on Windows beside its owner and the agent's user (learn.microsoft.com, Well-known SIDs).
const (
	sidSystem         = "S-1-5-18"
	sidAdministrators = "S-1-5-32-544"
	sidOwnerRights    = "S-1-3-4" // whoever owns the file
)

// reading are the rights by which one can read a file, or give oneself the right to: FILE_READ_DATA, WRITE_DAC, WRITE_OWNER,
// GENERIC_ALL and GENERIC_READ (learn.microsoft.com, Access Mask Format).
const reading = 0x1 | 0x40000 | 0x80000 | 0x10000000 | 0x80000000

// others returns who can read by these grants and may not, where owner owns the file and agent is the agent's user.
func others(grants []grant, owner, agent string) []string {
	may := []string{sidSystem, sidAdministrators, sidOwnerRights, owner, agent}
	var found []string
	for _, g := range grants {
		if g.mask&reading != 0 && !slices.Contains(may, g.sid) && !slices.Contains(found, g.sid) {
			found = append(found, g.sid)
		}
	}
	return found
}

// credentialText returns what a generic Windows credential holds as UTF-8. Windows' own tools (cmdkey, Credential Manager)
// write UTF-16; others write bytes as they are.
func credentialText(blob []byte) []byte {
	if len(blob)%2 != 0 || utf8.Valid(blob) && !slices.Contains(blob, 0) {
		return slices.Clone(blob)
	}
	units := make([]uint16, len(blob)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(blob[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}
