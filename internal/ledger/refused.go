package ledger

import "fmt"

// Reason says which structural rule refuses an entry (proto/README.md, section 3.1). Parsers of other texts use the
// same reasons where they apply.
type Reason string

// The reasons in the order in which they are judged: the first that applies is the one reported.
const (
	ReasonLimit       Reason = "LIMIT"
	ReasonText        Reason = "TEXT"
	ReasonVersion     Reason = "VERSION"
	ReasonOrigin      Reason = "ORIGIN"
	ReasonGenesis     Reason = "GENESIS"
	ReasonRetired     Reason = "RETIRED"
	ReasonReplacement Reason = "REPLACEMENT"
	ReasonKey         Reason = "KEY"
	ReasonSignature   Reason = "SIGNATURE"
	ReasonManifest    Reason = "MANIFEST"
	ReasonRoot        Reason = "ROOT"
	ReasonIndex       Reason = "INDEX"
	ReasonChain       Reason = "CHAIN"
	ReasonDeadline    Reason = "DEADLINE"
)

// RefusedError says that a text is refused, and why. Find it with errors.As.
type RefusedError struct {
	Reason Reason
	Detail string // what exactly was found, for people
}

// Error returns the reason and the detail.
func (e *RefusedError) Error() string { return "refused as " + string(e.Reason) + ": " + e.Detail }

func refuse(reason Reason, format string, args ...any) *RefusedError {
	return &RefusedError{reason, fmt.Sprintf(format, args...)}
}
