package rsyncdest

import (
	"fmt"
	"strings"
	"testing"
)

func TestUnescape(t *testing.T) {
	t.Parallel()
	for shown, want := range map[string]string{
		"": "", "plain.gsm": "plain.gsm", "é": "é", `a\#012b`: "a\nb", `a\#134#012b`: `a\#012b`, `\#377`: "\xff",
		`a\b`: `a\b`, `\#01`: `\#01`, `\#400`: `\#400`, `\#089`: `\#089`, `a\#`: `a\#`, `\#134#134#134`: `\#134#134`,
	} {
		if got := unescape(shown); got != want {
			t.Errorf("unescape(%q) = %q, want %q", shown, got, want)
		}
	}
}

// escape shows a name as rsync does (log.c, filtered_fwrite with 8-bit output).
func escape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		isEscape := c == '\\' && len(name) >= i+5 && name[i+1] == '#' && isDigits(name[i+2:i+5])
		if c < ' ' && c != '\t' || c == 0x7f || isEscape {
			fmt.Fprintf(&b, `\#%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

func FuzzUnescape(f *testing.F) {
	for _, name := range []string{"a", "new\nline", `\#012`, `\\#012`, "é\xff\x7f", `\#`, `\#9`, `a\#089`} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got := unescape(escape(name)); got != name {
			t.Errorf("%q is shown as %q, and read as %q", name, escape(name), got)
		}
	})
}

func TestParseChange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line                  string
		ok                    bool
		name                  string
		sent, created, equals bool
	}{
		{"<f+++++++++ 2026/a b.gsm", true, "2026/a b.gsm", true, true, false},
		{"<fc.T...... a", true, "a", true, false, false},
		{"<fcsT...... a", true, "a", true, false, false},
		{".f          a", true, "a", false, false, true},
		{".f..T...... a", true, "a", false, false, true},
		{">f+++++++++ a", true, "a", false, false, false},
		{"cd+++++++++ d/", true, "d/", false, false, false},
		{"*deleting   -a", true, "-a", false, false, false},
		{`<f+++++++++ a\#012b`, true, "a\nb", true, true, false},
		{"", false, "", false, false, false},
		{"<f+++++++++", false, "", false, false, false},
		{"<f+++++++++ ", false, "", false, false, false},
		{"sending incremental file list", false, "", false, false, false},
		{"skipping non-regular file \"a\"", false, "", false, false, false},
	}
	for _, test := range tests {
		c, ok := parseChange(test.line)
		if ok != test.ok || ok && (c.name != test.name || c.sent() != test.sent || c.created() != test.created || c.equal() != test.equals) {
			t.Errorf("parseChange(%q) = %+v, %v; sent %v, created %v, equal %v", test.line, c, ok, c.sent(), c.created(), c.equal())
		}
	}
}

func TestParseListed(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]listed{
		"drwxr-xr-x        4096 2026/11/22 20:40:33 .":               {'d', 4096, "."},
		"-rw-r--r--           0 2026/11/22 20:40:33 -dash":           {'-', 0, "-dash"},
		"-rw-r--r-- 12345678901 2026/11/22 20:40:33 a  b -> c.gsm":   {'-', 12345678901, "a  b -> c.gsm"},
		"lrwxrwxrwx           4 2026/11/22 20:40:01 out":             {'l', 4, "out"},
		"-rwsr-Sr-T           4 2026/11/22 20:40:01 é":               {'-', 4, "é"},
		"prw-r--r--           0 1969/12/31 23:59:59 fifo":            {'p', 0, "fifo"},
		`-rw-r--r--           2 2026/11/22 20:40:33 a\#012` + "\xff": {'-', 2, "a\n\xff"},
	} {
		if got, ok := parseListed(line); !ok || got != want {
			t.Errorf("parseListed(%q) = %+v, %v, want %+v", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "receiving file list ... done", "-rw-r--r--       1,234 2026/11/22 20:40:33 a", "-rw-r--r--  1 2026/11/22 20:40:33 ",
		"-rw-r--r-- 99999999999999999999 2026/11/22 20:40:33 a", "total: 3"} {
		if got, ok := parseListed(line); ok {
			t.Errorf("parseListed(%q) = %+v, want none", line, got)
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add("<f+++++++++ a\n-rw-r--r-- 4 2026/11/22 20:40:01 b\r\nlast", 3)
	f.Add("\n\n", 1)
	f.Fuzz(func(t *testing.T, text string, step int) {
		if step < 1 || len(text) > maxLineBytes {
			return
		}
		var got []string
		l := &lines{line: func(line string) {
			got = append(got, line)
			parseChange(line)
			parseListed(line)
			parseVersion(line)
		}}
		for rest := text; rest != ""; {
			n, err := l.Write([]byte(rest[:min(step, len(rest))]))
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		l.end()
		want := strings.Split(text, "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		for i := range want {
			want[i] = strings.TrimSuffix(want[i], "\r")
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("by %d bytes %q, want %q", step, got, want)
		}
	})
}

func TestLongLineIsCut(t *testing.T) {
	t.Parallel()
	var got []string
	l := &lines{line: func(line string) { got = append(got, line) }}
	for range 10 {
		l.Write([]byte(strings.Repeat("x", maxLineBytes/3)))
	}
	l.Write([]byte("\nnext\n"))
	if len(got) != 2 || len(got[0]) != maxLineBytes || got[1] != "next" {
		t.Errorf("%d lines, the first of %d bytes", len(got), len(got[0]))
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Version{
		"rsync  version 3.5.0  protocol version 32":      {3, 5, 0},
		"rsync  version v3.2.7pre1  protocol version 31": {3, 2, 7},
		"rsync version 2.6.9 compatible":                 {2, 6, 9},
	} {
		if got, ok := parseVersion(text); !ok || got != want {
			t.Errorf("parseVersion(%q) = %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "openrsync: protocol version 29", "rsync  version 3"} {
		if got, ok := parseVersion(text); ok {
			t.Errorf("parseVersion(%q) = %v, want none", text, got)
		}
	}
	order := []Version{{2, 6, 9}, {3, 2, 4}, {3, 2, 7}, {3, 5, 0}, {4, 0, 0}}
	for i, v := range order {
		for j, w := range order {
			if v.Less(w) != (i < j) {
				t.Errorf("%v.Less(%v) = %v", v, w, v.Less(w))
			}
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	got := strings.Join(filters("2026/[x] a*/b.gsm"), " | ")
	want := `--include=/2026/ | --include=/2026/\[x] a\*/ | --include=/2026/\[x] a\*/b.gsm | --exclude=*`
	if got != want {
		t.Errorf("filters = %s, want %s", got, want)
	}
}
