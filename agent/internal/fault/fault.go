// Package fault turns an error of a destination, the server or the line into what people are told (class, party, the
// system's own code, and a sentence with the next step, in English or Spanish) and says per class what follows: how often
// it is tried again, and who is told. Classes are found by raw codes, never by an error's text, nor by what Go counts as
// equal: on Windows an unreachable share is fs.ErrNotExist, and a full disk is not syscall.ENOSPC. Where a code says too
// little the class is "other", and the sentence says so. It does not touch destinations, waits for nothing, and tells
// nobody by itself.
package fault

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Fault is why something did not go through. It is comparable.
type Fault struct {
	Class, Party, Code, Message string
}

// The classes. Each has a [Policy].
const (
	ClassBilling    = "billing"     // the provider stopped an account that was not paid
	ClassCredential = "credential"  // user, password, key or ticket were not taken
	ClassPermission = "permission"  // they were taken, and may not do what is needed
	ClassClock      = "clock"       // the peer refuses because the clocks differ
	ClassThrottle   = "throttle"    // the peer asks for less at once
	ClassCapacity   = "capacity"    // the destination is full
	ClassQuota      = "quota"       // the user's share of it is used up
	ClassDestLost   = "dest-lost"   // the place is gone: server, share, mount
	ClassDestConfig = "dest-config" // the place or its configuration cannot do what is needed
	ClassImmutable  = "immutable"   // what is there may not be changed by anybody
	ClassIntegrity  = "integrity"   // contents differ from what they should be, or a disk is failing
	ClassName       = "name"        // the place cannot hold the name
	ClassNetwork    = "network"     // the connection broke, was refused, or timed out
	ClassTransient  = "transient"   // it passes by itself
	ClassSource     = "source"      // wolkvox cannot read what it announced
	ClassClientBug  = "client-bug"  // the agent asked for something wrong
	ClassLocal      = "local"       // the agent's own machine lacks memory, files or space
	ClassOther      = "other"       // nothing more is known
)

// The parties: whose matter a fault is.
const (
	PartyClient        = "client"
	PartyWolkvox       = "wolkvox"
	PartyNetwork       = "network"
	PartyCloudProvider = "cloud-provider"
)

// row says what a code means.
type row struct {
	code  string // the symbol in its own documentation
	class string
	party string // empty for that of the class
	topic topic  // of the sentence; empty for that of the class
	vague bool   // any other code that is there says more
	item  bool   // it is about one file, whatever the class: the destination as a whole is not left alone
}

func (r row) partyOrDefault() string {
	if r.party != "" {
		return r.party
	}
	switch r.class {
	case ClassNetwork:
		return PartyNetwork
	case ClassName, ClassSource, ClassClientBug:
		return PartyWolkvox
	}
	return PartyClient
}

// Teller puts faults of one destination into words. The zero value speaks English of "the destination".
type Teller struct {
	Language Language
	Place    string // where the destination is, for a person; may be empty
}

// Of classifies an error of a destination, in English, and names the place where the error does.
func Of(err error) Fault { return Teller{}.Of(err) }

// Of classifies an error of the destination. The message is valid UTF-8 of at most 1 KiB.
func (t Teller) Of(err error) Fault {
	for part := range parts(err) {
		if told, ok := part.(interface{ Told() Fault }); ok {
			f := told.Told() // it was put into words before
			f.Message = cut(f.Message, maxMessageBytes)
			return f
		}
	}
	if unreachable, ok := errors.AsType[*dest.UnreachableError](err); ok && t.Place == "" {
		t.Place = unreachable.Place
	}
	r := classify(err)
	sentence := t.sentence(r)
	if shortage, ok := errors.AsType[*ShortageError](err); ok && r.code == codeReserve {
		return t.fault(r, shortage.sentence(t), "")
	}
	return t.fault(r, sentence, err.Error())
}

// Whole reports whether an error, also one that a single item met, may be about the destination as a whole: whether a row of
// them means that it is left alone, as the [Policy] of its class says.
func Whole(err error) bool {
	r := classify(err)
	return !r.item && PolicyOf(r.class).OpensAfter > 0
}

// SourceUnreadable is the fault of an item that the server cannot read at the moment.
func (t Teller) SourceUnreadable() Fault {
	return t.named(row{code: "SOURCE_UNREADABLE", class: ClassSource})
}

// SourceChanged is the fault of an item whose source differs from what was sealed.
func (t Teller) SourceChanged() Fault {
	return t.named(row{code: "SOURCE_CHANGED", class: ClassIntegrity, party: PartyWolkvox, topic: topicSourceChanged})
}

// DigestMismatch is the fault of an item whose contents arrived different from what was sealed, as the line or the source
// can make them: the server reads its source again.
func (t Teller) DigestMismatch() Fault {
	return t.named(row{code: codeDigestMismatch, class: ClassIntegrity, party: PartyWolkvox, topic: topicDigestMismatch})
}

const codeDigestMismatch = "DIGEST_MISMATCH"

// IsDigestMismatch reports whether the fault is a [Teller.DigestMismatch], in whatever language.
func (f Fault) IsDigestMismatch() bool { return f.Code == codeDigestMismatch }

func (t Teller) named(r row) Fault { return t.fault(r, t.sentence(r), "") }

// Limits that both sides keep, in bytes.
const (
	maxMessageBytes = 1024
	maxCodeBytes    = 64
)

func (t Teller) fault(r row, sentence, cause string) Fault {
	message := strings.ToValidUTF8(sentence, "?")
	if cause != "" {
		const open, end = " (", ")"
		cause = cut(strings.ToValidUTF8(cause, "?"), maxMessageBytes-len(message)-len(open)-len(end))
		message += open + cause + end
	}
	return Fault{Class: r.class, Party: r.partyOrDefault(), Code: cut(strings.ToValidUTF8(r.code, "?"), maxCodeBytes), Message: cut(message, maxMessageBytes)}
}

// cut returns at most the first sizeBytes of a valid text, as whole characters.
func cut(text string, sizeBytes int) string {
	if len(text) <= sizeBytes {
		return text
	}
	return strings.ToValidUTF8(text[:max(sizeBytes, 0)], "")
}

// ShortageError says that the destination has too little room for what is pending.
type ShortageError struct {
	FreeBytes, ReserveBytes, WantedBytes int64
	FreeInodes                           int64 // -1 where not known
	Items                                int
}

// Error names what is free, what must stay free, and what is needed.
func (e *ShortageError) Error() string { return e.sentence(Teller{}) }

// NeedBytes is what must be free for the items to be copied.
func (e *ShortageError) NeedBytes() int64 { return e.ReserveBytes + e.WantedBytes }

func (e *ShortageError) sentence(t Teller) string {
	topic := topicShortage
	if e.FreeInodes >= 0 && e.FreeBytes-e.ReserveBytes > e.WantedBytes {
		topic = topicShortageInodes
	}
	return strings.NewReplacer(
		"{free}", bytesText(e.FreeBytes), "{reserve}", bytesText(e.ReserveBytes), "{wanted}", bytesText(e.WantedBytes),
		"{inodes}", fmt.Sprint(e.FreeInodes), "{items}", fmt.Sprint(e.Items),
	).Replace(t.sentence(row{class: ClassCapacity, topic: topic}))
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
