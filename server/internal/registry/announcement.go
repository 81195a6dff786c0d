package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/wolkvox/backup"
)

// Announcement is what a recording platform said of an interaction: that it has this recording, or that it has none.
// Values compare with ==.
type Announcement struct {
	Interaction string      // 1 to 128 bytes without control characters
	Night       backup.Date // of RecordedAt, where the tenant lives
	RecordedAt  time.Time   // UTC, whole seconds
	NoRecording string      // why there is none, a code; empty where there is one

	// Of a recording:
	SourcePath string // with the source's name; empty where there is none
	SizeBytes  int64  // -1 where not known
	SHA256     [sha256.Size]byte
	HasSHA256  bool             // SHA256 is known; so is then SizeBytes
	Kind       backup.MediaKind // 0 to have it recognised
}

// Fits reports whether a file with this digest is what was announced, as far as that says.
func (a Announcement) Fits(d backup.Digest) bool {
	return (a.SizeBytes < 0 || a.SizeBytes == d.SizeBytes) && (!a.HasSHA256 || a.SHA256 == d.SHA256)
}

// What was announced of an interaction is kept as one byte, recordVersion, and each announcement: one byte of flags; the
// SHA-256 if there is one; as varints the size, the kind, the time in seconds since 1970, the year, month and day of the night; why
// there is no recording, and the source path. The interaction stands in the key.
const flagHasSHA256 = 1

func appendAnnouncements(b []byte, announced []Announcement) []byte {
	b = append(b, recordVersion)
	for _, a := range announced {
		if a.HasSHA256 {
			b = append(append(b, flagHasSHA256), a.SHA256[:]...)
		} else {
			b = append(b, 0)
		}
		b = binary.AppendVarint(b, a.SizeBytes)
		b = binary.AppendUvarint(b, uint64(a.Kind))
		b = binary.AppendVarint(b, a.RecordedAt.Unix())
		b = binary.AppendUvarint(b, uint64(a.Night.Year))
		b = binary.AppendUvarint(b, uint64(a.Night.Month))
		b = binary.AppendUvarint(b, uint64(a.Night.Day))
		b = appendString(appendString(b, a.NoRecording), a.SourcePath)
	}
	return b
}

func parseAnnouncements(interaction string, b []byte) (announced []Announcement, err error) {
	if len(b) == 0 || b[0] != recordVersion {
		return nil, errRecord
	}
	d := decoder{rest: b[1:]}
	for len(d.rest) > 0 {
		a := Announcement{Interaction: interaction}
		flags := d.byte()
		if a.HasSHA256 = flags == flagHasSHA256; a.HasSHA256 {
			d.fill(a.SHA256[:])
		}
		a.SizeBytes = d.varint()
		kind := d.uvarint()
		a.RecordedAt = time.Unix(d.varint(), 0).UTC()
		year, month, day := d.uvarint(), d.uvarint(), d.uvarint()
		a.NoRecording, a.SourcePath = d.string(), d.string()
		if d.bad || flags&^flagHasSHA256 != 0 || kind > uint64(backup.KindOther) || year > 9999 || month > 12 || day > 31 {
			return nil, errRecord
		}
		a.Kind = backup.MediaKind(kind)
		a.Night = backup.Date{Year: int(year), Month: time.Month(month), Day: int(day)}
		announced = append(announced, a)
	}
	return announced, nil
}

// Mark says in which manifest of a log an interaction was counted. A mark counts only while that manifest stands in the log.
type Mark struct {
	Manifest int64
	Root     [8]byte // the first bytes of the manifest's root: a log that went back has others under its number
	Reason   string  // as which it was counted; empty for one with a recording
}

func appendMark(b []byte, m Mark) []byte {
	b = append(binary.AppendVarint(append(b, recordVersion), m.Manifest), m.Root[:]...)
	return appendString(b, m.Reason)
}

func parseMark(b []byte) (m Mark, err error) {
	if len(b) == 0 || b[0] != recordVersion {
		return Mark{}, errRecord
	}
	d := decoder{rest: b[1:]}
	m.Manifest = d.varint()
	d.fill(m.Root[:])
	m.Reason = d.string()
	if d.bad || len(d.rest) != 0 {
		return Mark{}, errRecord
	}
	return m, nil
}

// AnnouncedNight is a night of a tenant for which something was announced.
type AnnouncedNight struct {
	Night      backup.Date
	Count      int64 // announcements
	Generation int64 // higher after each change of them
}

func appendAnnouncedNight(b []byte, n AnnouncedNight) []byte {
	return binary.AppendVarint(binary.AppendVarint(append(b, recordVersion), n.Count), n.Generation)
}

func parseAnnouncedNight(night backup.Date, b []byte) (AnnouncedNight, error) {
	if len(b) == 0 || b[0] != recordVersion {
		return AnnouncedNight{}, errRecord
	}
	d := decoder{rest: b[1:]}
	n := AnnouncedNight{Night: night, Count: d.varint(), Generation: d.varint()}
	if d.bad || len(d.rest) != 0 {
		return AnnouncedNight{}, errRecord
	}
	return n, nil
}
