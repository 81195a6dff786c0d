package probe

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/night"
)

const testOrigin = "wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff"

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// well is a check in which all is well, of a place that opener opens.
func well(t testing.TB, opener dest.Opener) Config {
	t.Helper()
	store, err := dest.New(opener, "/mnt/nas", testOrigin)
	must(t, err)
	return Config{
		Name: "nas", Location: "/mnt/nas", Mounted: true, User: "backup", Store: store,
		JudgeKept: func(night.Kept) error { return nil },
		Pending:   func() (int64, int64, error) { return 3, 3 << 20, nil },
		Reserve:   func(dest.Space) int64 { return 1 << 20 },
		Ended:     func() bool { return false },
		Server:    func(context.Context) error { return nil }, ServerAddress: "server.example:443",
		Now:            func() time.Time { return noon },
		ClockOffset:    func() (time.Duration, bool) { return time.Second, true },
		CertificateEnd: func() time.Time { return noon.AddDate(0, 0, 60) },
		Renewal:        func() error { return nil },
		StateRoom:      func() error { return nil },
		Patience:       10 * time.Second, Logger: slog.New(slog.DiscardHandler),
	}
}

// initialised makes the place a destination.
func initialised(t testing.TB, c Config) Config {
	t.Helper()
	_, err := c.Store.Init(t.Context())
	must(t, err)
	return c
}

// run makes a check, which shows the lines that it reports, each subject once.
func run(t testing.TB, p *Probe) backup.CheckReport {
	t.Helper()
	var shown []backup.CheckLine
	report, err := p.Run(t.Context(), func(line backup.CheckLine) { shown = append(shown, line) })
	must(t, err)
	if !slices.Equal(shown, report.Lines) {
		t.Errorf("shown is %v, reported %v", shown, report.Lines)
	}
	seen := make(map[string]bool)
	for _, line := range report.Lines {
		if seen[line.Subject] || line.Message == "" || line.Verdict > report.Worst {
			t.Errorf("line %+v, of a report that is %v", line, report.Worst)
		}
		if (line.Verdict >= backup.CheckWarning) != (line.Class != "") && line.Verdict != backup.CheckWarning {
			t.Errorf("%+v: a class belongs to what is wrong", line)
		}
		seen[line.Subject] = true
	}
	if last, ok := p.Last(); !ok || !last.At.Equal(report.At) || len(last.Lines) != len(report.Lines) {
		t.Errorf("the last check is %+v, %v", last, ok)
	}
	return report
}

func lineOf(report backup.CheckReport, subject string) backup.CheckLine {
	for _, line := range report.Lines {
		if line.Subject == subject {
			return line
		}
	}
	return backup.CheckLine{}
}

// want is a line that a report has to have.
type want struct {
	subject string
	verdict backup.CheckVerdict
	words   []string // of its sentence
}

func (w want) in(t testing.TB, report backup.CheckReport) {
	t.Helper()
	line := lineOf(report, w.subject)
	if line.Verdict != w.verdict {
		t.Errorf("%s is %v (%s), want %v", w.subject, line.Verdict, line.Message, w.verdict)
	}
	for _, word := range w.words {
		if !strings.Contains(line.Message, word) {
			t.Errorf("%s says %q, want %q", w.subject, line.Message, word)
		}
	}
}

// onlyBad makes sure that one line alone is bad.
func onlyBad(t testing.TB, report backup.CheckReport, subject string) {
	t.Helper()
	for _, line := range report.Lines {
		if (line.Verdict == backup.CheckBad) != (line.Subject == subject) {
			t.Errorf("%s is %v: %s; want %s alone bad", line.Subject, line.Verdict, line.Message, subject)
		}
	}
}

// refusing is an opener that opens nothing, and counts how often it was asked.
type refusing struct {
	err   error
	asked int
}

func (r *refusing) Open(context.Context) (dest.Driver, error) {
	r.asked++
	return nil, &dest.UnreachableError{Place: "nas", Cause: r.err}
}

var errX = errors.New("input/output error")
