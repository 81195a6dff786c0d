package report

import (
	"fmt"
	"io"

	"github.com/wolkvox/backup/agent/internal/fault"
)

// Format is a form of a report.
type Format string

// The formats.
const (
	HTML Format = "html" // one file that needs no other, for screens and paper
	CSV  Format = "csv"  // a line per night, or with files a line per recording
	JSON Format = "json"
	Text Format = "text" // for a terminal
)

// Known reports whether it is one of the formats.
func (f Format) Known() bool { return f == HTML || f == CSV || f == JSON || f == Text }

// Write writes a report. Its files are written as they come, and held by nobody. CSV and JSON are for programs and the same
// in every language.
func (r Report) Write(w io.Writer, f Format, l fault.Language) error {
	switch f {
	case HTML:
		return r.writeHTML(w, l)
	case CSV:
		return r.writeCSV(w)
	case JSON:
		return r.writeJSON(w)
	case Text:
		return r.writeText(w, l)
	}
	return fmt.Errorf("there is no format %q of a report", f)
}
