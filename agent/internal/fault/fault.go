// Package fault turns an error of a destination, the server or the line into what people are told: class, party, the
// system's own code, and a sentence with the next step. Where nothing more is known the class is "other" and the
// code says what the system said. It decides nothing about retries.
package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Fault is why something did not go through. It is comparable.
type Fault struct {
	Class, Party, Code, Message string
}

// Classes and parties.
const (
	ClassOther   = "other"
	PartyClient  = "client"
	PartyWolkvox = "wolkvox"
	PartyNetwork = "network"
)

// SourceUnreadable is the fault of an item that the server cannot read at the moment.
func SourceUnreadable() Fault {
	return Fault{ClassOther, PartyWolkvox, "SOURCE_UNREADABLE", "wolkvox cannot read this recording at the moment; it is tried again"}
}

// SourceChanged is the fault of an item whose source differs from what was sealed.
func SourceChanged() Fault {
	return Fault{ClassOther, PartyWolkvox, "SOURCE_CHANGED", "the recording at wolkvox is not the one that was sealed; wolkvox withdraws it after its own check"}
}

// DigestMismatch is the fault of an item whose contents arrived different from what was sealed.
func DigestMismatch() Fault {
	return Fault{ClassOther, PartyWolkvox, "DIGEST_MISMATCH", "the recording arrived different from what was sealed; it was not stored, and wolkvox checks its source"}
}

// maxMessageBytes bounds a message: both sides keep so much.
const maxMessageBytes = 1024

// Of classifies an error of a destination. The message is valid UTF-8 of at most 1 KiB.
func Of(err error) Fault {
	f := Fault{ClassOther, PartyClient, code(err), err.Error()}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		f.Message = "the destination is full; free space there: " + err.Error()
	case errors.Is(err, syscall.EROFS):
		f.Message = "the destination is read-only; make it writable for the agent's user: " + err.Error()
	case errors.Is(err, dest.ErrConflict):
		f.Message = "a different file is already under this name and was left untouched; move it away, then run again: " + err.Error()
	case errors.Is(err, dest.ErrReadBack):
		f.Message = "what the destination stored is not what was written; nothing was confirmed: check the disk: " + err.Error()
	case errors.Is(err, dest.ErrUnreachable):
		f.Message = "check that the destination is mounted and readable: " + err.Error()
	}
	f.Message = strings.ToValidUTF8(f.Message[:min(len(f.Message), maxMessageBytes)], "")
	return f
}

func code(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, dest.ErrConflict):
		return "CONFLICT"
	case errors.Is(err, dest.ErrReadBack):
		return "READ_BACK"
	case errors.Is(err, dest.ErrForeignMarker):
		return "FOREIGN_MARKER"
	case errors.Is(err, dest.ErrNoMarker):
		return "NO_MARKER"
	case errors.Is(err, dest.ErrMarker):
		return "MARKER"
	case errors.Is(err, dest.ErrName):
		return "NAME"
	case errors.As(err, new(*ShortageError)):
		return "RESERVE"
	case errors.As(err, &errno):
		return errnoName(errno)
	case errors.Is(err, dest.ErrUnreachable):
		return "UNREACHABLE"
	case errors.Is(err, fs.ErrPermission):
		return "PERMISSION"
	}
	return "UNKNOWN"
}

// ShortageError says that the destination has too little room for what is pending.
type ShortageError struct {
	FreeBytes, ReserveBytes, WantedBytes int64
	FreeInodes                           int64 // -1 where not known
	Items                                int
}

// Error names what is free, what must stay free, and what is needed.
func (e *ShortageError) Error() string {
	if e.FreeInodes >= 0 && e.FreeBytes-e.ReserveBytes > e.WantedBytes {
		return fmt.Sprintf("the destination has room for only %d more files (inodes); %d of the next recordings wait: remove files or enlarge the file system", e.FreeInodes, e.Items)
	}
	return fmt.Sprintf("the destination has %s free, of which %s stay in reserve; %d of the next recordings (%s) wait: free space there, or lower `reserve` in the configuration",
		bytesText(e.FreeBytes), bytesText(e.ReserveBytes), e.Items, bytesText(e.WantedBytes))
}

// NewShortage describes the shortage that keeps items of wantedBytes from being fetched.
func NewShortage(space dest.Space, reserveBytes, wantedBytes int64, items int) *ShortageError {
	return &ShortageError{FreeBytes: space.FreeBytes, ReserveBytes: reserveBytes, WantedBytes: wantedBytes, FreeInodes: space.FreeInodes, Items: items}
}

func bytesText(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
