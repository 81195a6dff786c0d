package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Identity is what a file looks like without being read. Values compare with ==.
type Identity struct {
	SizeBytes    int64
	ModTimeNs    int64 // nanoseconds since 1970
	ChangeTimeNs int64 // nanoseconds since 1970; 0 where the file system has none
	Inode        uint64
}

// Record is a file of a source that was sealed.
type Record struct {
	Identity
	SourcePath string // any bytes
	Path       string // in the manifest
	Folded     string // Path as names are compared: with case and Unicode folded
	SHA256     [sha256.Size]byte
	Manifest   int64
	Index      int64
}

// A record is kept as: one byte, recordVersion; one byte of flags; the SHA-256; the identity, manifest and index as
// varints (encoding/binary); then Path, unless it equals the source path, and Folded, unless it equals Path, each
// with its length as a varint before it.
const (
	recordVersion  = 1
	flagSamePath   = 1
	flagSameFolded = 2
)

var errRecord = errors.New("the record is damaged, or was written by a later version of the program")

func appendRecord(b []byte, r Record) []byte {
	var flags byte
	if r.Path == r.SourcePath {
		flags |= flagSamePath
	}
	if r.Folded == r.Path {
		flags |= flagSameFolded
	}
	b = append(b, recordVersion, flags)
	b = append(b, r.SHA256[:]...)
	b = binary.AppendVarint(b, r.SizeBytes)
	b = binary.AppendVarint(b, r.ModTimeNs)
	b = binary.AppendVarint(b, r.ChangeTimeNs)
	b = binary.AppendUvarint(b, r.Inode)
	b = binary.AppendVarint(b, r.Manifest)
	b = binary.AppendVarint(b, r.Index)
	if flags&flagSamePath == 0 {
		b = appendString(b, r.Path)
	}
	if flags&flagSameFolded == 0 {
		b = appendString(b, r.Folded)
	}
	return b
}

func parseRecord(sourcePath string, b []byte) (Record, error) {
	if len(b) < 2+sha256.Size || b[0] != recordVersion || b[1]&^(flagSamePath|flagSameFolded) != 0 {
		return Record{}, errRecord
	}
	flags := b[1]
	r := Record{SourcePath: sourcePath}
	d := decoder{rest: b[2+copy(r.SHA256[:], b[2:]):]}
	r.SizeBytes = d.varint()
	r.ModTimeNs = d.varint()
	r.ChangeTimeNs = d.varint()
	r.Inode = d.uvarint()
	r.Manifest = d.varint()
	r.Index = d.varint()
	r.Path = sourcePath
	if flags&flagSamePath == 0 {
		r.Path = d.string()
	}
	r.Folded = r.Path
	if flags&flagSameFolded == 0 {
		r.Folded = d.string()
	}
	if d.bad || len(d.rest) != 0 {
		return Record{}, errRecord
	}
	return r, nil
}

// A taken name is kept as one byte, recordVersion, and the manifest's number as a varint.

func appendName(b []byte, manifest int64) []byte {
	return binary.AppendVarint(append(b, recordVersion), manifest)
}

func parseName(b []byte) (int64, error) {
	if len(b) == 0 || b[0] != recordVersion {
		return 0, errRecord
	}
	d := decoder{rest: b[1:]}
	manifest := d.varint()
	if d.bad || len(d.rest) != 0 {
		return 0, errRecord
	}
	return manifest, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads values one after the other; after the first that is not there, bad is set and all are zero.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) take(n int) {
	if n <= 0 {
		d.rest, d.bad = nil, true
		return
	}
	d.rest = d.rest[n:]
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	d.take(n)
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	d.take(n)
	return v
}

func (d *decoder) byte() byte {
	var b [1]byte
	d.fill(b[:])
	return b[0]
}

func (d *decoder) fill(b []byte) {
	if len(d.rest) < len(b) {
		d.rest, d.bad = nil, true
		return
	}
	d.rest = d.rest[copy(b, d.rest):]
}

func (d *decoder) string() string {
	size := d.uvarint()
	if d.bad || size > uint64(len(d.rest)) {
		d.rest, d.bad = nil, true
		return ""
	}
	s := string(d.rest[:size])
	d.rest = d.rest[size:]
	return s
}
