package circuit

import (
	"fmt"
	"time"

	"github.com/wolkvox/backup/agent/internal/fault"
)

// OpenError says that a place was not tried because it is left alone. It unwraps to what happened to it, and so is
// dest.ErrUnreachable only where that was.
type OpenError struct {
	State
	Cause error // never nil

	language fault.Language
}

// Error says what happened, since when the place is left alone, and when it is tried next.
func (e *OpenError) Error() string { return e.Told().Message }

// Unwrap returns what happened.
func (e *OpenError) Unwrap() error { return e.Cause }

// Told returns the fault, in words that say since when and until when the place is left alone.
func (e *OpenError) Told() fault.Fault {
	f := e.Fault
	f.Message = e.Words(e.language, func(at time.Time) time.Time { return at })
	return f
}

// Words says what stands in the way, since when, and when the next try is. shown turns a time of this machine's clock into the
// one that is shown.
func (s State) Words(language fault.Language, shown func(time.Time) time.Time) string {
	format := "%s; left alone since %s, next try at %s"
	if language == fault.Spanish {
		format = "%s; se deja en paz desde %s, próximo intento a las %s"
	}
	const layout = "15:04:05 MST"
	return fmt.Sprintf(format, s.Fault.Message, shown(s.Since).Format(layout), shown(s.NextTry).Format(layout))
}
