package source

import (
	"fmt"
	"time"

	backup "github.com/wolkvox/backup"
)

// Identity is what a file looks like without being read. Equal identities (with ==; the times are UTC) mean
// the same contents as far as a source tells without being read. Inode is a file system's number, or another that a source
// has to tell contents apart (of an ETag or version). Inode and ChangeTime are zero where the source has none; they
// may differ without a change of contents (a chmod, a hard link, some network mounts when mounted again),
// which costs reading the file once more.
type Identity struct {
	SizeBytes  int64
	ModTime    time.Time
	Inode      uint64
	ChangeTime time.Time
}

// String returns a text that is equal exactly for equal identities, to be kept and compared at the next scan.
func (i Identity) String() string {
	return fmt.Sprintf("%d %s %d %s", i.SizeBytes, seconds(i.ModTime), i.Inode, seconds(i.ChangeTime))
}

// SameLook reports whether size and time of modification are equal: the test for a file at rest.
func (i Identity) SameLook(other Identity) bool {
	return i.SizeBytes == other.SizeBytes && i.ModTime.Equal(other.ModTime)
}

// Candidate is a regular file found in a tree.
type Candidate struct {
	SourcePath string
	Identity
}

// RecordedAt returns when a recording was made as far as its file tells: the time of its last modification in
// UTC, in whole seconds, and the zero time where that lies outside the years 1970 to 9999, which a manifest
// cannot say.
func RecordedAt(modTime time.Time) time.Time {
	at := time.Unix(modTime.Unix(), 0).UTC()
	if at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}
	}
	return at
}

// NightOf returns the night that a recording belongs to: the calendar date in loc, the tenant's zone, at which it
// was made. It is the zero Date where recordedAt is zero.
func NightOf(recordedAt time.Time, loc *time.Location) backup.Date {
	if recordedAt.IsZero() {
		return backup.Date{}
	}
	return backup.DateOf(recordedAt.In(loc))
}

func seconds(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }
