package operator

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// outputFormat is the value of --output.
type outputFormat string

const (
	outputHuman outputFormat = "human"
	outputJSON  outputFormat = "json"
)

// String returns the format's name.
func (f *outputFormat) String() string {
	if *f == "" {
		return string(outputHuman)
	}
	return string(*f)
}

// Set takes the flag's value.
func (f *outputFormat) Set(s string) error {
	switch outputFormat(s) {
	case outputHuman, outputJSON:
		*f = outputFormat(s)
		return nil
	}
	return fmt.Errorf("it is %s or %s", outputHuman, outputJSON)
}

// Type names the flag's kind of value in the help.
func (f *outputFormat) Type() string { return "human|json" }

// show writes a message as JSON, or has human write it for people.
func (a *app) show(m proto.Message, human func(w *tabwriter.Writer)) error {
	if a.output == outputJSON {
		text, err := wire.IndentedJSON(m)
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(append(text, '\n'))
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	human(w)
	return w.Flush()
}

// row writes the cells of a table's row. What others wrote cannot do anything to the terminal.
func row(w *tabwriter.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = strings.Map(visible, fmt.Sprint(cell))
		if texts[i] == "" {
			texts[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(texts, "\t"))
}

func visible(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '\uFFFD'
}

func instant(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format("2006-01-02 15:04:05Z")
}

// timeOfDay shows a time after midnight.
func timeOfDay(d time.Duration) string {
	return strings.TrimSuffix(time.Time{}.Add(d).Format("15:04:05"), ":00")
}

func bytesText(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= 999.95 && prefix < 4 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGTP"[prefix])
}

// label shows the short name of an enum's value, as it stands in JSON too.
func label(e interface{ String() string }, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(e.String(), prefix)), "_", "-")
}

func position(p *backupv1.LogPosition) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%d %x", p.GetSize(), p.GetRoot()[:min(4, len(p.GetRoot()))])
}

func faultText(f *backupv1.Fault) string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("%s (%s): %s", f.GetClass(), f.GetParty(), f.GetMessage())
}
