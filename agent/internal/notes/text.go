package notes

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wolkvox/backup/internal/ledger"
)

// The text has a first line that names its form, and then lines in the order of the destinations' names:
//
//	wolkvox-agent notes v1
//	pause nas 2026-12-01T05:00:00Z "the line is needed"
//	rate nas 12500000
//	pause tape - ""
const (
	header   = "wolkvox-agent notes v1\n"
	noTime   = "-"
	timeForm = "2006-01-02T15:04:05Z"
)

const (
	// MaxReasonBytes is how long a reason may be, in UTF-8.
	MaxReasonBytes = 500
	maxTextBytes   = 1 << 20
)

// Check says why a pause cannot be kept; nil where it can.
func (p Pause) Check() error {
	switch {
	case len(p.Reason) > MaxReasonBytes:
		return fmt.Errorf("the reason has %d bytes, more than %d", len(p.Reason), MaxReasonBytes)
	case !utf8.ValidString(p.Reason):
		return errors.New("the reason is not in UTF-8")
	case strings.ContainsFunc(p.Reason, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("the reason has a character that cannot be printed")
	case !p.Until.IsZero() && (p.Until.Location() != time.UTC || p.Until.Nanosecond() != 0 || p.Until.Year() < 1970 || p.Until.Year() > 9999):
		return fmt.Errorf("%v is no time in whole seconds of UTC", p.Until)
	}
	return nil
}

// Format returns the text of the file.
func Format(notes map[string]Note) []byte {
	var text bytes.Buffer
	text.WriteString(header)
	for _, name := range slices.Sorted(maps.Keys(notes)) {
		n := notes[name]
		if p := n.Pause; p != nil {
			until := noTime
			if !p.Until.IsZero() {
				until = p.Until.Format(timeForm)
			}
			fmt.Fprintf(&text, "pause %s %s %s\n", name, until, strconv.Quote(p.Reason))
		}
		if n.BytesPerSecond > 0 {
			fmt.Fprintf(&text, "rate %s %d\n", name, n.BytesPerSecond)
		}
	}
	return text.Bytes()
}

// Parse reads the text of the file. Only what [Format] writes is understood.
func Parse(text []byte) (map[string]Note, error) {
	if len(text) > maxTextBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(text), maxTextBytes)
	}
	lines, ok := strings.CutPrefix(string(text), header)
	if !ok {
		return nil, fmt.Errorf("it does not begin with the line %q", strings.TrimSpace(header))
	}
	notes := make(map[string]Note)
	for line := range strings.Lines(lines) {
		if err := parseLine(notes, strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	if !bytes.Equal(Format(notes), text) {
		return nil, errors.New("it is not as it was written")
	}
	return notes, nil
}

func parseLine(notes map[string]Note, line string) error {
	kind, rest, _ := strings.Cut(line, " ")
	name, value, _ := strings.Cut(rest, " ")
	if err := ledger.CheckLabel(name); err != nil {
		return err
	}
	n := notes[name]
	var err error
	switch kind {
	case "pause":
		n.Pause, err = parsePause(value)
	case "rate":
		n.BytesPerSecond, err = strconv.ParseInt(value, 10, 64)
	default:
		err = errors.New("it is neither a pause nor a rate")
	}
	notes[name] = n
	return err
}

func parsePause(text string) (*Pause, error) {
	until, reason, _ := strings.Cut(text, " ")
	p := &Pause{}
	var err error
	if until != noTime {
		if p.Until, err = time.Parse(timeForm, until); err != nil {
			return nil, err
		}
	}
	if p.Reason, err = strconv.Unquote(reason); err != nil {
		return nil, fmt.Errorf("the reason %s: %w", reason, err)
	}
	return p, p.Check()
}
