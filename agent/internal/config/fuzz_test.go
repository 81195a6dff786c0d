package config

import (
	"os"
	"testing"
)

// FuzzParse reads configurations: what is taken passes its own check.
func FuzzParse(f *testing.F) {
	if text, err := os.ReadFile("../../../docs/examples/agent.yaml"); err == nil {
		f.Add(text)
	}
	f.Add([]byte("state_dir: /var/lib/wolkvox\ndestinations:\n  - name: nas\n    local: {path: /srv/backup}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		if err := c.check(); err != nil {
			t.Errorf("Parse(%q) = %+v: %v", text, c, err)
		}
	})
}

// FuzzParseWindow reads windows that lie within a day.
func FuzzParseWindow(f *testing.F) {
	for _, s := range []string{"22:00-06:00", "00:00-24:00", "6:00-7:00", "25:00-26:00", "12:60-13:00", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if w, err := ParseWindow(text); err == nil && (w.Start < 0 || w.End < 0 || w.Start.Hours() >= 24 || w.End.Hours() > 24) {
			t.Errorf("ParseWindow(%q) = %+v", text, w)
		}
	})
}
