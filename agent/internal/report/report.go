// Package report is what a person reads of a destination's nights: how many recordings were expected, what became of them, and
// what is missing and why. It holds the words, and the forms HTML, CSV, JSON and plain text, in English and Spanish. It
// reads no ledger (package tally does) and knows no gRPC.
package report

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/wolkvox/backup"
)

// Report is a report of one destination over some nights.
type Report struct {
	Destination string // its name
	Location    string // for a person
	Origin      string // of its log
	From, To    backup.Date
	Zone        *time.Location // the tenant's
	Made        time.Time
	AgreedSize  int64  // entries that both sides signed; 0 where there are none
	AgreedRoot  []byte // of them
	Silence     string // why the log may lack what the server has sealed since; empty where it does not
	Nights      []Night
	// Files are the recordings one by one; nil where they are not wanted. It ends after an error.
	Files iter.Seq2[File, error]
}

// Standing says whether a night has recordings, and if not, why. The numbers equal those of the protocol.
type Standing uint8

// The standings.
const (
	Sealed    Standing = 1
	Empty     Standing = 2 // sealed, and there were none
	NotSealed Standing = 3 // it was to be sealed, and was not
	Unknown   Standing = 4 // nothing was heard of it
	NotDue    Standing = 5 // it is too early
	Before    Standing = 6 // the destination did not exist yet
	Ended     Standing = 7 // it existed no more
)

// String returns the code of a standing, as CSV and JSON have it.
func (s Standing) String() string {
	codes := [...]string{Sealed: "sealed", Empty: "empty", NotSealed: "not-sealed", Unknown: "unknown", NotDue: "not-due", Before: "before", Ended: "ended"}
	if int(s) < len(codes) {
		return codes[s]
	}
	return ""
}

// Amount is some recordings.
type Amount struct {
	Items, Bytes int64
	Sound        time.Duration // of those that were measured
	Unmeasured   int64         // of how many it is not known how long they sound
}

// Plus returns the sum of two amounts.
func (a Amount) Plus(b Amount) Amount {
	return Amount{a.Items + b.Items, a.Bytes + b.Bytes, a.Sound + b.Sound, a.Unmeasured + b.Unmeasured}
}

// Cause is why some recordings are not confirmed.
type Cause struct {
	State       backup.State // pending or expired
	Class       string       // as docs/operations.md lists them; empty where no fault is on record
	Party, Code string
	Message     string
	Items       int64
}

// Reason is why some interactions have no recording.
type Reason struct {
	Code  string
	Count int64
}

// Night is what became of one night, or, added up, of many.
type Night struct {
	Date         backup.Date
	Standing     Standing
	Manifests    int64
	States       [8]Amount // indexed by [backup.State]
	Replaced     int64     // of what was withdrawn, how many have a replacement
	Deadline     time.Time // when tries for the first of the pending ones end; zero where nothing is pending
	Causes       []Cause   // the most recordings first
	Interactions *int64    // nil where nothing was announced
	Unrecorded   []Reason  // the codes ascend
}

// Expected returns what is to be at the destination, was, or would be but for a cause: all but what wolkvox withdrew.
func (n Night) Expected() Amount {
	var sum Amount
	for _, s := range backup.States {
		if s != backup.Withdrawn {
			sum = sum.Plus(n.States[s])
		}
	}
	return sum
}

// WithoutRecording returns how many interactions have none.
func (n Night) WithoutRecording() (count int64) {
	for _, r := range n.Unrecorded {
		count += r.Count
	}
	return count
}

// Add adds another part of the same night, or another night to a period; date and standing stay.
func (n *Night) Add(part Night) {
	n.Manifests += part.Manifests
	for s := range n.States {
		n.States[s] = n.States[s].Plus(part.States[s])
	}
	n.Replaced += part.Replaced
	if n.Deadline.IsZero() || !part.Deadline.IsZero() && part.Deadline.Before(n.Deadline) {
		n.Deadline = part.Deadline
	}
	for _, c := range part.Causes {
		n.addCause(c)
	}
	if part.Interactions != nil {
		sum := *part.Interactions
		if n.Interactions != nil {
			sum += *n.Interactions
		}
		n.Interactions = &sum
	}
	for _, r := range part.Unrecorded {
		n.addReason(r)
	}
}

// addCause counts causes together that are alike but for their words.
func (n *Night) addCause(c Cause) {
	at := slices.IndexFunc(n.Causes, func(o Cause) bool {
		return o.State == c.State && o.Class == c.Class && o.Party == c.Party && o.Code == c.Code
	})
	if at < 0 {
		n.Causes = append(n.Causes, c)
	} else {
		n.Causes[at].Items += c.Items
	}
	slices.SortStableFunc(n.Causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.State, a.State), cmp.Compare(b.Items, a.Items)) // expired before pending
	})
}

func (n *Night) addReason(r Reason) {
	at, found := slices.BinarySearchFunc(n.Unrecorded, r.Code, func(o Reason, code string) int { return cmp.Compare(o.Code, code) })
	if !found {
		n.Unrecorded = slices.Insert(n.Unrecorded, at, r)
		return
	}
	n.Unrecorded[at].Count += r.Count
}

// Total returns what all nights add up to.
func (r Report) Total() Night {
	var total Night
	for _, n := range r.Nights {
		total.Add(n)
	}
	return total
}

// Standings counts the nights of one standing.
func (r Report) Standings(s Standing) (count int64) {
	for _, n := range r.Nights {
		if n.Standing == s {
			count++
		}
	}
	return count
}

// File is one recording.
type File struct {
	Night           backup.Date
	Manifest, Index int64
	Item            backup.Item // zero but for its state where its line was erased
	State           backup.State
	Sound           time.Duration // negative where not known
	Deadline        time.Time     // zero where it is not pending
	Cause           Cause         // zero where no fault is on record
}
