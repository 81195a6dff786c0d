package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// Sample says which items a sample takes: the same ones for the same seed, whatever else is looked at. The zero value takes none.
type Sample struct {
	seed  [sha256.Size]byte
	below uint64 // of what is drawn for an item
	all   bool
}

// Sample returns the sample that the options ask for.
func (o Options) Sample() Sample {
	return Sample{seed: sha256.Sum256([]byte(o.Seed)), below: uint64(o.Percent / 100 * math.MaxUint32), all: o.Percent == 100}
}

// Takes reports whether the sample has an item of a manifest.
func (s Sample) Takes(manifest, index int64) bool {
	if s.all {
		return true
	}
	var text [sha256.Size + 16]byte
	copy(text[:], s.seed[:])
	binary.BigEndian.PutUint64(text[sha256.Size:], uint64(manifest))
	binary.BigEndian.PutUint64(text[sha256.Size+8:], uint64(index))
	sum := sha256.Sum256(text[:])
	return uint64(binary.BigEndian.Uint32(sum[:4])) < s.below
}
