package backup

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// CheckVerdict is what one line of a check found; a higher one is worse. The numbers equal those of the protocol.
type CheckVerdict uint8

// The verdicts.
const (
	CheckGood    CheckVerdict = 1 // it is as it should be
	CheckUnknown CheckVerdict = 2 // it could not be learnt; nothing follows
	CheckWarning CheckVerdict = 3 // it works, and somebody should look at it
	CheckBad     CheckVerdict = 4 // recordings cannot be copied, or not safely
)

// String returns the verdict's word.
func (v CheckVerdict) String() string {
	switch v {
	case CheckGood:
		return "good"
	case CheckUnknown:
		return "unknown"
	case CheckWarning:
		return "warning"
	case CheckBad:
		return "bad"
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// CheckLine is what a check found about one thing.
type CheckLine struct {
	Subject string       `json:"subject"` // what was looked at, such as "space"
	Verdict CheckVerdict `json:"verdict"`
	Message string       `json:"message"` // one sentence for a person: what was found, and what to do where it is not good
	// Class, Party and Code are those of the fault that was met; empty where there is none.
	Class string `json:"class,omitempty"`
	Party string `json:"party,omitempty"`
	Code  string `json:"code,omitempty"`
}

// CheckReport is the outcome of a check of one destination.
type CheckReport struct {
	At    time.Time   `json:"at"` // by the server's clock as the agent knows it
	Lines []CheckLine `json:"lines"`
	// Worst is the worst verdict of all lines that the check had, also of those that are not here.
	Worst CheckVerdict `json:"worst"`
}

// NotGood returns the report with no more than the given number of its lines, those that are not good: the worst first, and
// otherwise in their order.
func (r CheckReport) NotGood(most int) CheckReport {
	r.Lines = slices.DeleteFunc(slices.Clone(r.Lines), func(l CheckLine) bool { return l.Verdict == CheckGood })
	slices.SortStableFunc(r.Lines, func(a, b CheckLine) int { return cmp.Compare(b.Verdict, a.Verdict) })
	r.Lines = r.Lines[:min(len(r.Lines), most)]
	return r
}
