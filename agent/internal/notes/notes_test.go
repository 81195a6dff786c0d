package notes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var december = time.Date(2026, 12, 1, 5, 0, 0, 0, time.UTC)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestBook keeps everything for the next process.
func TestBook(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := Open(dir)
	if n := b.Note("nas"); n != (Note{}) || b.Problem() != nil {
		t.Errorf("of nothing is kept %+v, %v", n, b.Problem())
	}
	want := Pause{december, `the line is "needed"; año`}
	check(t, b.Pause("nas", Pause{Reason: "first"}))
	check(t, b.Pause("nas", want))
	check(t, b.Pause("tape", Pause{}))
	check(t, b.Measured("nas", 1000))
	check(t, b.Measured("nas", 2000))
	check(t, b.Measured("nas", 0))
	for _, book := range []*Book{b, Open(dir)} {
		n := book.Note("nas")
		if n.Pause == nil || *n.Pause != want || n.BytesPerSecond != 1250 {
			t.Errorf("of nas is kept %+v, want %+v and 1250 bytes a second", n, want)
		}
		if n := book.Note("tape"); n.Pause == nil || *n.Pause != (Pause{}) {
			t.Errorf("of tape is kept %+v", n)
		}
	}
	check(t, b.Resume("nas"))
	check(t, b.Resume("none"))
	if n := Open(dir).Note("nas"); n.Pause != nil || n.BytesPerSecond != 1250 {
		t.Errorf("after it was resumed: %+v", n)
	}
}

// TestNotWritten changes nothing where the file cannot be written, or the pause cannot be kept.
func TestNotWritten(t *testing.T) {
	t.Parallel()
	b := Open(filepath.Join(t.TempDir(), "missing"))
	if err := b.Pause("nas", Pause{}); err == nil || b.Note("nas").Pause != nil {
		t.Errorf("a pause that cannot be written: %v, %+v", err, b.Note("nas"))
	}
	b = Open(t.TempDir())
	for _, p := range []Pause{
		{Reason: "two\nlines"}, {Reason: "\xff"}, {Reason: strings.Repeat("x", MaxReasonBytes+1)},
		{Until: december.Add(time.Millisecond)}, {Until: december.In(time.FixedZone("", 3600))}, {Until: december.AddDate(9000, 0, 0)},
	} {
		if err := b.Pause("nas", p); err == nil || b.Note("nas").Pause != nil {
			t.Errorf("the pause %+v was taken: %v", p, err)
		}
	}
}

// TestDamaged goes on without what cannot be read, says so, until somebody pauses or resumes.
func TestDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, File), []byte(header+"pause nas soon \"\"\n"), 0o600))
	b := Open(dir)
	if err := b.Problem(); err == nil || !strings.Contains(err.Error(), "pause again") || b.Note("nas").Pause != nil {
		t.Errorf("problem %v, note %+v", err, b.Note("nas"))
	}
	check(t, b.Measured("nas", 1000))
	if Open(dir).Problem() == nil {
		t.Error("what cannot be read was replaced, and nobody saw it")
	}
	check(t, b.Resume("nas"))
	if b.Problem() != nil || Open(dir).Problem() != nil {
		t.Errorf("after it was written: %v", b.Problem())
	}
}

func TestEnded(t *testing.T) {
	t.Parallel()
	p := Pause{Until: december}
	if p.Ended(december.Add(-time.Second)) || !p.Ended(december) || (Pause{}).Ended(december) {
		t.Error("a pause ends at its time, and one without a time never")
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	const text = header + "pause nas 2026-12-01T05:00:00Z \"the line is needed\"\nrate nas 12500000\npause tape - \"\"\n"
	want := map[string]Note{"nas": {&Pause{december, "the line is needed"}, 12500000}, "tape": {Pause: &Pause{}}}
	got, err := Parse([]byte(text))
	check(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if got := string(Format(want)); got != text {
		t.Errorf("Format = %q", got)
	}
	for _, wrong := range []string{
		"", "notes", "wolkvox-agent notes v2\n", text[:len(text)-1], text + text[len(header):], text + "\n",
		header + "rate nas 0\n", header + "rate nas -1\n", header + "rate nas 01\n", header + "rate nas\n", header + "rate NAS! 1\n",
		header + "rest nas 1\n", header + "pause nas - x\n", header + "pause nas -\n", header + "pause nas - `x`\n", header + "pause nas -  \"\"\n",
		header + "pause nas 2026-12-01 \"\"\n", header + "pause nas - \"\\n\"\n", header + "pause b - \"\"\npause a - \"\"\n",
	} {
		if notes, err := Parse([]byte(wrong)); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", wrong, notes)
		}
	}
}

// FuzzParse reads files that anything may have written: what is taken is what would be written, and within its bounds.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", header, header + "pause nas 2026-12-01T05:00:00Z \"x\"\nrate nas 1\n", header + "pause a - \"\"\npause a-b - \"\\\"\"\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		notes, err := Parse(text)
		if err != nil {
			return
		}
		if got := string(Format(notes)); got != string(text) {
			t.Errorf("%q is written as %q", text, got)
		}
		for name, n := range notes {
			if n.BytesPerSecond < 0 || n.Pause != nil && n.Pause.Check() != nil {
				t.Errorf("of %s is taken %+v", name, n)
			}
		}
	})
}
