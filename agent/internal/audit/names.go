package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// key stands for a name: 128 bits of its SHA-256, so that two names of a million share one less than once in 10^26 times.
type key [16]byte

func keyOf(name string) key {
	sum := sha256.Sum256([]byte(name))
	return key(sum[:16])
}

// Names is a table of names that are known, and of which of them a listing showed, in 24 bytes for each. Names are added first,
// then listed files are shown to it, then it is asked. It is for one goroutine.
type Names struct {
	rows   []row
	sorted bool
}

type row struct {
	key       key
	sizeBytes int64 // as listed, or one of the constants below
}

const (
	notListed  = -1
	notRegular = -2
)

// NewNames returns an empty table with room for so many names.
func NewNames(count int64) *Names { return &Names{rows: make([]row, 0, count)} }

// Add makes a name known. A name that is added twice is known once.
func (n *Names) Add(name string) {
	n.rows = append(n.rows, row{keyOf(name), notListed})
	n.sorted = false
}

// See takes note that a file is listed, and reports whether its name is known.
func (n *Names) See(name string, sizeBytes int64, regular bool) bool {
	r := n.find(name)
	if r == nil {
		return false
	}
	r.sizeBytes = sizeBytes
	if !regular {
		r.sizeBytes = notRegular
	}
	return true
}

// Size returns what the listing said of a name that is known: the size in bytes of a regular file, and false where it showed none.
func (n *Names) Size(name string) (sizeBytes int64, listed bool) {
	r := n.find(name)
	if r == nil || r.sizeBytes < 0 {
		return 0, false
	}
	return r.sizeBytes, true
}

func (n *Names) find(name string) *row {
	if !n.sorted {
		slices.SortFunc(n.rows, func(a, b row) int { return bytes.Compare(a.key[:], b.key[:]) })
		n.sorted = true
	}
	wanted := keyOf(name)
	i, ok := slices.BinarySearchFunc(n.rows, wanted, func(r row, k key) int { return bytes.Compare(r.key[:], k[:]) })
	if !ok {
		return nil
	}
	return &n.rows[i]
}

// PartNames is how many names a table should hold at most: what is more is compared in several parts, each with a listing.
const PartNames = 2 << 20

// Parts returns in how many parts so many names are to be compared.
func Parts(names int64) int { return int(max((names+PartNames-1)/PartNames, 1)) }

// PartOf returns which of so many parts a name belongs to.
func PartOf(name string, parts int) int {
	k := keyOf(name)
	return int(binary.BigEndian.Uint64(k[8:]) % uint64(parts))
}
