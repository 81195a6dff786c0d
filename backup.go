// Package backup is the vocabulary of the nightly copy: items and their digests, kinds and states, storage
// kinds and their windows, nights and deadlines. It does no I/O and reads no clock, and imports the standard
// library only.
//
// A tenant is a client of wolkvox. A destination is one place where a tenant's recordings go; it has a
// [StorageKind] and hence a window in days. A night is the local calendar date on which recordings were
// made ([Date]). An [Item] is one file. A manifest is a sealed, ordered list of items, numbered per destination.
// The ledger (package internal/ledger) is the append-only log of one destination from which every item's
// [State] is derived.
package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// MaxInt is the largest number that any text form carries: 2^53-1, so that every language reads it exactly.
const MaxInt = 1<<53 - 1

// Digest identifies the contents of a file: SHA-256 and size together; neither alone is an identity.
type Digest struct {
	SHA256    [sha256.Size]byte
	SizeBytes int64
}

// String returns the SHA-256 in lower-case hexadecimal and the size, for people.
func (d Digest) String() string { return fmt.Sprintf("%x (%d bytes)", d.SHA256, d.SizeBytes) }

// ParseSHA256 reads 64 lower-case hexadecimal characters.
func ParseSHA256(s string) ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(sum) || hex.EncodeToString(b) != s {
		return sum, fmt.Errorf("%q is not a SHA-256 of 64 lower-case hexadecimal characters", s)
	}
	copy(sum[:], b)
	return sum, nil
}

// MediaKind says what a file's contents are. The numbers equal those of the protocol.
type MediaKind uint8

// The kinds of files. A file that is none of the others is KindOther; nothing is left out.
const (
	KindGSM   MediaKind = 1 // GSM 06.10 frames of 33 bytes
	KindWAV49 MediaKind = 2 // RIFF/WAVE with Microsoft GSM (format 49)
	KindMP3   MediaKind = 3 // MPEG audio layer III
	KindChat  MediaKind = 4 // a conversation in text, JSON, HTML or XML
	KindOther MediaKind = 5
)

var mediaKinds = [...]string{KindGSM: "gsm", KindWAV49: "wav49", KindMP3: "mp3", KindChat: "chat", KindOther: "other"}

// String returns the name of the kind as it stands in a manifest.
func (k MediaKind) String() string { return name(mediaKinds[:], int(k)) }

// ParseMediaKind is the inverse of [MediaKind.String]; an unknown name is an error.
func ParseMediaKind(s string) (MediaKind, error) {
	i, err := parse(mediaKinds[:], s, "media kind")
	return MediaKind(i), err
}

// Item is one file of a manifest.
type Item struct {
	Path        string    // portable, see [CheckPath]
	SourcePath  string    // the path at the source where it differs from Path, else empty; any bytes
	Digest      Digest    // of the whole file
	Kind        MediaKind // by contents and name
	RecordedAt  time.Time // UTC, whole seconds; zero where not known
	Interaction string    // identifier of the call or chat; empty where not known
}

// State is what the ledger says of one item. The numbers equal those of the protocol.
type State uint8

// The states of an item.
const (
	Pending   State = 1 // announced, not yet at the destination
	Confirmed State = 2 // at the destination, compared as its receipt says
	Expired   State = 3 // the deadline passed; the client moves it by hand
	Waived    State = 4 // the client declined it
	Released  State = 5 // removed by the client's own retention
	Withdrawn State = 6 // taken back by wolkvox, perhaps replaced
	Forgotten State = 7 // erased by a legal order
)

// States lists all states in the order of their numbers.
var States = [...]State{Pending, Confirmed, Expired, Waived, Released, Withdrawn, Forgotten}

var states = [...]string{
	Pending: "pending", Confirmed: "confirmed", Expired: "expired", Waived: "waived",
	Released: "released", Withdrawn: "withdrawn", Forgotten: "forgotten",
}

// String returns the name of the state.
func (s State) String() string { return name(states[:], int(s)) }

// ParseState is the inverse of [State.String]; an unknown name is an error.
func ParseState(s string) (State, error) {
	i, err := parse(states[:], s, "state")
	return State(i), err
}

// StorageKind is the service that a destination belongs to; it decides for how many days is tried again.
type StorageKind uint8

// The four services of automatic copying.
const (
	StorageWolkvox StorageKind = 1
	StorageRSYNC   StorageKind = 2 // NAS or SAN, whatever the driver
	StorageAzblob  StorageKind = 3
	StorageS3      StorageKind = 4
)

var storageKinds = [...]string{StorageWolkvox: "wolkvox", StorageRSYNC: "rsync", StorageAzblob: "azblob", StorageS3: "s3"}

// String returns the name of the storage kind as it stands in a ledger.
func (k StorageKind) String() string { return name(storageKinds[:], int(k)) }

// ParseStorageKind is the inverse of [StorageKind.String]; an unknown name is an error.
func ParseStorageKind(s string) (StorageKind, error) {
	i, err := parse(storageKinds[:], s, "storage kind")
	return StorageKind(i), err
}

// WindowDays is for how many days after its night a recording is tried again.
func (k StorageKind) WindowDays() int {
	switch k {
	case StorageWolkvox:
		return 30
	case StorageRSYNC:
		return 15
	case StorageAzblob, StorageS3:
		return 10
	}
	return 0
}

// ErrDigest says that contents differ from the recorded digest.
var ErrDigest = errors.New("contents do not match the recorded digest")

func name(names []string, i int) string {
	if i <= 0 || i >= len(names) {
		return fmt.Sprintf("unknown(%d)", i)
	}
	return names[i]
}

func parse(names []string, s, what string) (int, error) {
	for i, n := range names {
		if i > 0 && n == s {
			return i, nil
		}
	}
	return 0, fmt.Errorf("unknown %s %q", what, s)
}
