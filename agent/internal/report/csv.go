package report

import (
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/wolkvox/backup"
)

// writeCSV writes RFC 4180: CRLF, and a first line with the names of the columns.
func (r Report) writeCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	var err error
	if r.Files != nil {
		err = r.writeFileRows(c)
	} else {
		err = r.writeNightRows(c)
	}
	c.Flush()
	if err != nil {
		return err
	}
	return c.Error()
}

func (r Report) writeNightRows(c *csv.Writer) error {
	header := []string{"night", "standing", "manifests", "expected", "expected_bytes", "expected_audio_seconds", "unmeasured"}
	for _, s := range backup.States {
		header = append(header, s.String(), s.String()+"_bytes", s.String()+"_audio_seconds")
	}
	header = append(header, "replaced", "first_deadline_time", "days_left", "causes", "interactions", "without_recording", "unrecorded")
	if err := c.Write(header); err != nil {
		return err
	}
	for _, n := range r.Nights {
		expected := n.Expected()
		row := append([]string{n.Date.String(), n.Standing.String(), decimal(n.Manifests)}, amountCells(expected)...)
		row = append(row, decimal(expected.Unmeasured))
		for _, s := range backup.States {
			row = append(row, amountCells(n.States[s])...)
		}
		row = append(row, decimal(n.Replaced), instant(n.Deadline), daysCell(n.Deadline, r.Made), guarded(causesCell(n.Causes)))
		if n.Interactions != nil {
			row = append(row, decimal(*n.Interactions), decimal(n.WithoutRecording()), guarded(reasonsCell(n.Unrecorded)))
		} else {
			row = append(row, "", "", "")
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	return nil
}

func (r Report) writeFileRows(c *csv.Writer) error {
	err := c.Write([]string{"night", "manifest", "index", "state", "path", "kind", "size_bytes", "audio_seconds", "recorded_time", "interaction",
		"sha256", "deadline_time", "class", "party", "code", "message"})
	if err != nil {
		return err
	}
	for f, err := range r.Files {
		if err != nil {
			return err
		}
		row := []string{f.Night.String(), decimal(f.Manifest), decimal(f.Index), f.State.String()}
		if f.Item.Path == "" { // erased
			row = append(row, "", "", "", "", "", "", "")
		} else {
			row = append(row, guarded(f.Item.Path), f.Item.Kind.String(), decimal(f.Item.Digest.SizeBytes), soundCell(f.Sound), instant(f.Item.RecordedAt),
				guarded(f.Item.Interaction), hex.EncodeToString(f.Item.Digest.SHA256[:]))
		}
		row = append(row, instant(f.Deadline), guarded(f.Cause.Class), guarded(f.Cause.Party), guarded(f.Cause.Code), guarded(f.Cause.Message))
		if err := c.Write(row); err != nil {
			return err
		}
	}
	return nil
}

// guarded keeps a spreadsheet from taking a text for a formula: an apostrophe says that it is a text. Names come from outside.
func guarded(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func amountCells(a Amount) []string {
	return []string{decimal(a.Items), decimal(a.Bytes), soundCell(a.Sound)}
}

// soundCell has seconds and milliseconds, and nothing where they are not known.
func soundCell(d time.Duration) string {
	if d < 0 {
		return ""
	}
	return strconv.FormatFloat(seconds(d), 'f', 3, 64)
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func daysCell(deadline, now time.Time) string {
	if deadline.IsZero() {
		return ""
	}
	return decimal(daysTo(deadline, now))
}

// daysTo returns the whole days up to a deadline, never fewer than none.
func daysTo(deadline, now time.Time) int64 {
	return int64(max(deadline.Sub(now), 0) / (24 * time.Hour))
}

func causesCell(causes []Cause) string {
	var all []string
	for _, c := range causes {
		all = append(all, fmt.Sprintf("%s %s/%s/%s=%d", c.State, c.Class, c.Party, c.Code, c.Items))
	}
	return strings.Join(all, "; ")
}

func reasonsCell(reasons []Reason) string {
	var all []string
	for _, r := range reasons {
		all = append(all, fmt.Sprintf("%s=%d", r.Code, r.Count))
	}
	return strings.Join(all, "; ")
}
