package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fault"
)

func (r Report) writeText(out io.Writer, l fault.Language) error {
	f := newForm(l, r.Zone)
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s: %s (%s)\n%s: %s   %s: %s (%s)\n\n", f.title, r.Destination, r.Location, f.period, f.nightsOf(r), f.made, f.clock(r.Made), r.Zone)
	for _, finding := range f.findings(r) {
		fmt.Fprintf(w, "%s %s\n", finding.Severity.mark(), finding.Text)
	}
	total := r.Total()
	fmt.Fprintln(w)
	if err := f.writeNights(w, r, total); err != nil {
		return err
	}
	for i, c := range total.Causes {
		if i == 0 {
			fmt.Fprintf(w, "\n%s\n", f.causes)
		}
		fmt.Fprintf(w, "  %s %s: %s\n", f.number(c.Items), strings.ToLower(f.states[c.State]), f.causeLine(c))
	}
	for i, u := range total.Unrecorded {
		if i == 0 {
			fmt.Fprintf(w, "\n%s\n", f.unrecorded)
		}
		fmt.Fprintf(w, "  %s %s\n", f.number(u.Count), or(f.reasons, u.Code))
	}
	fmt.Fprintf(w, "\n%s: %s\n", f.agreed, f.head(r))
	if err := f.writeFiles(w, r); err != nil {
		return err
	}
	return w.Flush()
}

// head writes what both sides signed.
func (f form) head(r Report) string {
	if r.AgreedSize == 0 {
		return f.nothingAgreed
	}
	return fmt.Sprintf("%s %s %x", f.number(r.AgreedSize), f.entries, r.AgreedRoot)
}

// causeLine names a cause in one line.
func (f form) causeLine(c Cause) string {
	if c.Class == "" {
		return f.noFault
	}
	return fmt.Sprintf("%s (%s, %s): %s", or(f.classes, c.Class), or(f.parties, c.Party), c.Code, c.Message)
}

func (f form) writeNights(w io.Writer, r Report, total Night) error {
	rows := [][]string{{f.night, f.expected, f.states[backup.Confirmed], f.states[backup.Pending], f.states[backup.Expired], f.other,
		f.states[backup.Withdrawn], f.size, f.sound, f.withoutRecording}}
	row := func(name string, n Night) []string {
		expected := n.Expected()
		other := n.States[backup.Waived].Plus(n.States[backup.Released]).Plus(n.States[backup.Forgotten])
		without := f.none
		if n.Interactions != nil {
			without = f.number(n.WithoutRecording())
		}
		return []string{name, f.number(expected.Items), f.number(n.States[backup.Confirmed].Items), f.number(n.States[backup.Pending].Items),
			f.number(n.States[backup.Expired].Items), f.number(other.Items), f.number(n.States[backup.Withdrawn].Items), f.bytes(expected.Bytes), f.hours(expected.Sound), without}
	}
	for _, n := range r.Nights {
		if n.Standing == Sealed {
			rows = append(rows, row(n.Date.String(), n))
		} else {
			rows = append(rows, []string{n.Date.String(), f.standings[n.Standing]})
		}
	}
	return writeTable(w, append(rows, row(f.total, total)))
}

// writeTable aligns the first column left and the others right; the last cell of a short row has room for itself.
func writeTable(w io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			if len(row) == len(widths) {
				widths[i] = max(widths[i], utf8.RuneCountInString(c))
			}
		}
	}
	for _, row := range rows {
		var line strings.Builder
		fmt.Fprintf(&line, "%-*s", widths[0], row[0])
		for i, c := range row[1:] {
			if len(row) == len(widths) {
				c = fmt.Sprintf("%*s", widths[i+1], c)
			}
			line.WriteString("  " + c)
		}
		if _, err := fmt.Fprintln(w, line.String()); err != nil {
			return err
		}
	}
	return nil
}

func (f form) writeFiles(w io.Writer, r Report) error {
	if r.Files == nil {
		return nil
	}
	fmt.Fprintf(w, "\n%s\n", f.files)
	for file, err := range r.Files {
		if err != nil {
			return err
		}
		name, sound := f.erased, f.none
		if file.Item.Path != "" {
			name = fmt.Sprintf("%q", file.Item.Path)
		}
		if file.Sound >= 0 {
			sound = length(file.Sound)
		}
		fmt.Fprintf(w, "%s  %-9s  %9s  %9s  %s", file.Night, file.State, f.bytes(file.Item.Digest.SizeBytes), sound, name)
		if file.Cause.Class != "" {
			fmt.Fprintf(w, "  %s", f.causeLine(file.Cause))
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}
