package ledger

import "github.com/wolkvox/backup"

// Limits of the text forms (proto/README.md, parts 1 and 5). They are as unchangeable as the forms.
const (
	// MaxEntryBytes is the greatest size of an entry, signature lines included.
	MaxEntryBytes = 65536
	// MaxRanges is the greatest number of ranges in the indexes of one entry.
	MaxRanges = 4096
	// MaxItems is the greatest number of items of one manifest; every index is below it.
	MaxItems = 4000000
	// MaxLineBytes is the greatest size of a manifest line without its LF.
	MaxLineBytes = 16384
	// MaxDecimal is the greatest number that any text form carries: 2^53-1.
	MaxDecimal = backup.MaxInt
	// MaxLabelBytes is the greatest size of the name of a tenant or a destination.
	MaxLabelBytes = 40
	// MaxCodeBytes is the greatest size of a code, such as the reasons that recordings are missing for.
	MaxCodeBytes = 32
	// MaxWindowDays is the greatest window that a genesis may name.
	MaxWindowDays = 3650
	// MaxInteractionBytes is the greatest size of an interaction's identifier, before escaping.
	MaxInteractionBytes = 128
	// MaxSourcePathBytes is the greatest size of a path at the source, before escaping.
	MaxSourcePathBytes = 4096
	// MaxCosignedSeconds is the last second that a cosignature may name, the end of the year 9999.
	MaxCosignedSeconds = 253402300799
)
