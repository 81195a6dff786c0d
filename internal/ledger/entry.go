package ledger

import (
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
)

// Entry is one act in a ledger.
type Entry struct {
	Origin Origin
	Time   time.Time // UTC, whole seconds; tells people when, decides nothing
	Body   Body
}

// Body is what an entry of its kind says: one of the structs [Genesis], [Assigned], [Rekeyed], [Sealed], [Delivered],
// [Lost], [Waived], [Released], [Erased], [Closed], [Extended], [Withdrawn], [Forgotten] and [Retired], as values.
type Body interface {
	// Kind returns the kind of the entry.
	Kind() Kind
	// appendText writes the lines after origin and time.
	appendText(b []byte) []byte
}

// Genesis begins a log.
type Genesis struct {
	Storage    backup.StorageKind
	WindowDays int // 1 to [MaxWindowDays]
	ServerKey  Verifier
	Previous   *KnownHead // of the log that this one continues, nil where it continues none
}

// KnownHead is the last known head of a log that another one continues.
type KnownHead struct {
	Origin Origin
	Size   int64 // at least 1
	Root   tlog.Hash
}

// Assigned says that from here on the agent with the request's key serves the destination.
type Assigned struct{ Request Request }

// Rekeyed replaces the server's key of the log.
type Rekeyed struct{ OldKey, NewKey Verifier }

// Sealed announces the items of a manifest.
type Sealed struct {
	Manifest        int64     // its number, last + 1
	Root            tlog.Hash // of the tree over its lines
	Night           backup.Date
	Items           int64 // at most [MaxItems]
	Bytes           int64 // sum of the items' sizes
	Interactions    *int64
	Unrecorded      []UnrecordedCount // ascending by Reason; empty where Interactions is nil
	Deadline        time.Time
	SourceKeptUntil time.Time // zero where nothing is promised
}

// UnrecordedCount is how many interactions of a night have no recording, for one reason.
type UnrecordedCount struct {
	Reason string // a code of 1 to [MaxCodeBytes] bytes
	Count  int64  // at least 1
}

// Closed says that the deadline of a manifest has passed: what is pending is expired.
type Closed struct {
	Manifest int64
	Root     tlog.Hash
	Counts   Counts // after this entry; nothing is pending
}

// Counts are numbers of items, indexed by [backup.State]; the one at 0 is always 0.
type Counts [8]int64

// Sum returns the number of items in all states.
func (c Counts) Sum() int64 {
	var sum int64
	for _, n := range c {
		sum += n
	}
	return sum
}

// Add returns the sums state by state.
func (c Counts) Add(d Counts) Counts {
	for s := range c {
		c[s] += d[s]
	}
	return c
}

// Extended gives a manifest a later deadline and opens it again.
type Extended struct {
	Manifest int64
	Root     tlog.Hash
	Deadline time.Time
	Reason   string
}

// Withdrawn takes items back.
type Withdrawn struct {
	Manifest    int64
	Root        tlog.Hash
	Indexes     Set
	Reason      string
	Replacement int64 // the manifest whose sealed is the next entry, 0 for none
}

// Forgotten is a legal order to erase items.
type Forgotten struct {
	Manifest int64
	Root     tlog.Hash
	Indexes  Set
}

// Retired ends the log: only rekeyed may follow.
type Retired struct{ Reason string }

// Receipt is what all entries of the agent have in common.
type Receipt struct {
	Manifest int64
	Root     tlog.Hash
	Number   int64     // of the receipt among those of its key in its log, from 1
	Previous tlog.Hash // SHA-256 of the leaf of the receipt before it; zero where Number is 1
	Indexes  Set
}

// Delivered says that items are at the destination, compared by Method.
type Delivered struct {
	Receipt
	Method  backup.Method
	Brought string
}

// Lost says that an audit did not find items as they were confirmed.
type Lost struct {
	Receipt
	Finding string
}

// Waived says that the client declines items.
type Waived struct {
	Receipt
	Reason string
}

// Released says that the client's own retention gives up items; it comes before they are deleted.
type Released struct {
	Receipt
	Reason string
}

// Erased says what became of forgotten items at the destination.
type Erased struct {
	Receipt
	Outcome string
}

// Kind returns [KindGenesis].
func (Genesis) Kind() Kind { return KindGenesis }

// Kind returns [KindAssigned].
func (Assigned) Kind() Kind { return KindAssigned }

// Kind returns [KindRekeyed].
func (Rekeyed) Kind() Kind { return KindRekeyed }

// Kind returns [KindSealed].
func (Sealed) Kind() Kind { return KindSealed }

// Kind returns [KindDelivered].
func (Delivered) Kind() Kind { return KindDelivered }

// Kind returns [KindLost].
func (Lost) Kind() Kind { return KindLost }

// Kind returns [KindWaived].
func (Waived) Kind() Kind { return KindWaived }

// Kind returns [KindReleased].
func (Released) Kind() Kind { return KindReleased }

// Kind returns [KindErased].
func (Erased) Kind() Kind { return KindErased }

// Kind returns [KindClosed].
func (Closed) Kind() Kind { return KindClosed }

// Kind returns [KindExtended].
func (Extended) Kind() Kind { return KindExtended }

// Kind returns [KindWithdrawn].
func (Withdrawn) Kind() Kind { return KindWithdrawn }

// Kind returns [KindForgotten].
func (Forgotten) Kind() Kind { return KindForgotten }

// Kind returns [KindRetired].
func (Retired) Kind() Kind { return KindRetired }

// ReceiptOf returns what b has in common with all receipts; false where b is an entry of the server.
func ReceiptOf(b Body) (Receipt, bool) {
	switch b := b.(type) {
	case Delivered:
		return b.Receipt, true
	case Lost:
		return b.Receipt, true
	case Waived:
		return b.Receipt, true
	case Released:
		return b.Receipt, true
	case Erased:
		return b.Receipt, true
	}
	return Receipt{}, false
}

// ManifestOf returns the number and root of the manifest that b seals or names; false where b is about none.
func ManifestOf(b Body) (number int64, root tlog.Hash, ok bool) {
	switch b := b.(type) {
	case Sealed:
		return b.Manifest, b.Root, true
	case Closed:
		return b.Manifest, b.Root, true
	case Extended:
		return b.Manifest, b.Root, true
	case Withdrawn:
		return b.Manifest, b.Root, true
	case Forgotten:
		return b.Manifest, b.Root, true
	}
	r, ok := ReceiptOf(b)
	return r.Manifest, r.Root, ok
}

// IndexesOf returns the indexes that b is about; false where b has none, even if it is about a whole manifest.
func IndexesOf(b Body) (Set, bool) {
	switch b := b.(type) {
	case Withdrawn:
		return b.Indexes, true
	case Forgotten:
		return b.Indexes, true
	}
	r, ok := ReceiptOf(b)
	return r.Indexes, ok
}
