// Package audit is what comparing a ledger with what a destination holds is made of: the classes of what is found, a
// compact table of names to compare a listing with, which items a sample takes, and the files in which an audit keeps what it
// found and how far it came, so that it can go on after its process was killed. It reads neither ledgers nor destinations, and
// signs nothing (package night does).
package audit

import (
	"fmt"
	"time"
)

// Level is how closely an audit looks.
type Level string

// The levels.
const (
	// List compares names and sizes, and the checksums of a service that computes them itself and was seen to refuse wrong ones.
	List Level = "list"
	// Read hashes every byte.
	Read Level = "read"
)

// Class is what an audit found of one file.
type Class string

// The classes. What is present and equal is counted, and no finding.
const (
	Missing    Class = "missing"    // confirmed, and truly absent
	Altered    Class = "altered"    // confirmed, and something else is under the name
	Unreadable Class = "unreadable" // confirmed, and there, and cannot be read: nothing follows about what it holds
	Extra      Class = "extra"      // there, and in no manifest
	Released   Class = "released"   // confirmed and absent, and older than the client's own retention keeps recordings
)

// Finding is one file that is not as the ledger says.
type Finding struct {
	Class    Class  `json:"class"`
	Manifest int64  `json:"manifest,omitempty"` // 0 for an extra file
	Index    int64  `json:"index,omitempty"`
	Name     string `json:"name"`
	// SizeBytes and SHA256, in hex, are of what is there; unset where that is not known.
	SizeBytes int64  `json:"size_bytes,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	// FaultClass, Party, Code and Message say why it is unreadable.
	FaultClass string `json:"fault_class,omitempty"`
	Party      string `json:"party,omitempty"`
	Code       string `json:"code,omitempty"`
	Message    string `json:"message,omitempty"`
}

// Counts is how far an audit has come.
type Counts struct {
	Wanted     int64 `json:"wanted"`     // recordings to look at
	Looked     int64 `json:"looked"`     // of them, those that were looked at
	ReadBytes  int64 `json:"read_bytes"` // hashed, also for second looks
	Present    int64 `json:"present"`    // and equal
	Missing    int64 `json:"missing"`
	Altered    int64 `json:"altered"`
	Unreadable int64 `json:"unreadable"`
	Released   int64 `json:"released"`
	Extra      int64 `json:"extra"`
}

// Add counts a finding.
func (c *Counts) Add(class Class) {
	switch class {
	case Missing:
		c.Missing++
	case Altered:
		c.Altered++
	case Unreadable:
		c.Unreadable++
	case Released:
		c.Released++
	case Extra:
		c.Extra++
	}
}

// Lost is how many recordings are missing or altered.
func (c Counts) Lost() int64 { return c.Missing + c.Altered }

// Options says what an audit looks at. It is comparable.
type Options struct {
	Level   Level   `json:"level"`
	Percent float64 `json:"percent"` // of the recordings; 100 for all
	Seed    string  `json:"seed"`    // of the sample; without meaning where all are looked at
}

// Check says what is wrong with the options; nil where nothing is.
func (o Options) Check() error {
	if o.Level != List && o.Level != Read {
		return fmt.Errorf("the level is %q; give %q or %q", o.Level, List, Read)
	}
	if !(o.Percent > 0 && o.Percent <= 100) {
		return fmt.Errorf("a sample of %g %% is none; give more than 0 and at most 100", o.Percent)
	}
	return nil
}

// How an audit ended.
const (
	Complete    = "complete"    // all was looked at, and what is lost is signed
	Suspicious  = "suspicious"  // more than 1 % is lost: nothing was signed, a second audit or a person decides
	NotSigned   = "not-signed"  // all was looked at, and what is lost could not be signed now
	Unreachable = "unreachable" // the destination cannot be reached or read any more: nothing follows
	Partial     = "partial"     // not all could be looked at
)

// Report is how an audit ended.
type Report struct {
	Options
	Began  time.Time `json:"began"` // by the server's clock
	Ended  time.Time `json:"ended"`
	Counts Counts    `json:"counts"`
	Signed int64     `json:"signed"` // as lost, in the log
	// Recovered is how many of the lost were as they should be when they were looked at again.
	Recovered int64 `json:"recovered"`
	// WentBack says that the destination is an older copy of itself.
	WentBack bool   `json:"went_back"`
	Outcome  string `json:"outcome"` // one of the constants above
	Cause    string `json:"cause"`   // why it is not complete, for a person; empty where it is
}

// IsWell reports whether nobody has to do anything.
func (r Report) IsWell() bool {
	return r.Outcome == Complete && r.Counts.Lost() == 0 && r.Counts.Unreadable == 0 && !r.WentBack
}
