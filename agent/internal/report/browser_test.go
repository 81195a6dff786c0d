//go:build linux && peers

package report

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wolkvox/backup/agent/internal/fault"
)

// seen is what testdata/look.mjs finds in a page.
type seen struct {
	Messages, Requests []string
	Widths             []struct {
		Width, Client, Scroll int
		Scheme, Media         string
		Outside, Hidden       []string
		Faint                 float64 // the least contrast of a text with the page
	}
	Language, Title string
	Tiles, Total    []string
	Nights          [][]string
	Files, Scripts  int
	Images          [][2]string
	Columns         []float64
	Drawing         float64
}

// look opens a report in Chromium.
func look(t *testing.T, r Report, l fault.Language) (s seen, pdf string) {
	t.Helper()
	dir := t.TempDir()
	page, pdf := filepath.Join(dir, "report.html"), filepath.Join(dir, "report.pdf")
	if err := os.WriteFile(page, []byte(written(t, r, HTML, l)), 0o600); err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Abs("../../../bin/peers/npm")
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd := exec.CommandContext(t.Context(), "node", "testdata/look.mjs", modules, page, pdf)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node look.mjs: %v\n%s", err, errs.String())
	}
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatal(err)
	}
	return s, pdf
}

// pages returns what pdftotext finds on each page.
func pages(t *testing.T, pdf string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "pdftotext", "-layout", pdf, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\f"), "\f")
}

// digits are what of a text is a number, as a program would write it.
func digits(text string) string { return regexp.MustCompile(`[^0-9]`).ReplaceAllString(text, "") }

// In a real browser nothing is cut, hidden, faint or fetched, and the numbers are those of JSON.
func TestInBrowser(t *testing.T) {
	t.Parallel()
	for _, l := range []fault.Language{fault.English, fault.Spanish} {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			r := month(t)
			r.Files = files(nil)
			s, pdf := look(t, r, l)
			s.checkSight(t)
			if s.Language != string(l) || len(s.Nights) != 31 || s.Files != 10 || len(s.Images) != 2 || s.Images[0][1] == "" || s.Images[1][1] == "" {
				t.Errorf("the page has the language %q, %d nights, %d files and the images %q", s.Language, len(s.Nights), s.Files, s.Images)
			}
			head := r.head()
			for i, n := range head.Nights {
				row := s.Nights[i]
				if n.Standing != "sealed" {
					if len(row) != 2 || row[1] == "" {
						t.Errorf("the night %s, which is %s, has the line %q", n.Night, n.Standing, row)
					}
					continue
				}
				for column, want := range map[int]int64{1: n.Expected.Recordings, 2: n.States["confirmed"].Recordings, 3: n.States["pending"].Recordings, 4: n.States["expired"].Recordings} {
					if digits(row[column]) != decimal(want) {
						t.Errorf("the night %s has %q in column %d, JSON has %d", n.Night, row[column], column, want)
					}
				}
				if want := float64(n.Expected.Recordings) / 1000 * s.Drawing; math.Abs(s.Columns[i]-want) > s.Drawing/30 {
					t.Errorf("the column of %s is %.1f px high, want %.1f", n.Night, s.Columns[i], want)
				}
			}
			if digits(s.Total[1]) != decimal(head.Total.Expected.Recordings) || digits(s.Tiles[1]) != decimal(head.Total.States["confirmed"].Recordings) {
				t.Errorf("the total is %q and the tiles are %q; JSON has %+v", s.Total, s.Tiles, head.Total)
			}
			paper := pages(t, pdf)
			if len(paper) < 2 || len(paper) > 5 {
				t.Errorf("it prints on %d pages", len(paper))
			}
			if !regexp.MustCompile(`1\s*/\s*` + decimal(int64(len(paper)))).MatchString(paper[0]) {
				t.Errorf("the first page has no number:\n%s", paper[0])
			}
			all := strings.Join(paper, "")
			for _, text := range []string{newForm(l, r.Zone).number(head.Total.Expected.Recordings), "ETIMEDOUT", "31 " + newForm(l, r.Zone).months[9]} {
				if !strings.Contains(all, text) {
					t.Errorf("on paper is no %q", text)
				}
			}
		})
	}
}

// Numbers that are a thousand times larger have their room too, and so has a single night.
func TestRoomInBrowser(t *testing.T) {
	t.Parallel()
	large := month(t)
	for i := range large.Nights {
		n := &large.Nights[i]
		for s := range n.States {
			a := &n.States[s]
			a.Items, a.Bytes, a.Sound, a.Unmeasured = a.Items*1000, a.Bytes*1000, a.Sound*1000, a.Unmeasured*1000
		}
		if n.Interactions != nil {
			n.Interactions = new(*n.Interactions * 1000)
		}
	}
	s, _ := look(t, large, fault.Spanish)
	s.checkSight(t)
	one := month(t)
	one.From, one.To, one.Nights = one.From.AddDays(12), one.From.AddDays(12), one.Nights[12:13]
	s, pdf := look(t, one, fault.English)
	s.checkSight(t)
	if paper := pages(t, pdf); len(paper) != 1 {
		t.Errorf("a night without recordings prints on %d pages", len(paper))
	}
}

// checkSight fails where somebody could not read all of a page.
func (s seen) checkSight(t *testing.T) {
	t.Helper()
	if len(s.Messages) > 0 || s.Scripts > 0 {
		t.Errorf("the browser says %q; the page has %d scripts", s.Messages, s.Scripts)
	}
	for _, url := range s.Requests {
		if !strings.HasSuffix(url, "/report.html") {
			t.Errorf("the page loads %s", url)
		}
	}
	for _, w := range s.Widths {
		if w.Scroll > w.Client || len(w.Outside) > 0 || len(w.Hidden) > 0 {
			t.Errorf("%s of %d px: the page is %d px wide; cut is %q, hidden %q", w.Media, w.Width, w.Scroll, w.Outside, w.Hidden)
		}
		if w.Faint < 4.5 { // WCAG 2.2, 1.4.3
			t.Errorf("%s of %d px, %s: a text has a contrast of %.2f", w.Media, w.Width, w.Scheme, w.Faint)
		}
	}
	if len(s.Widths) != 6 {
		t.Errorf("%d widths were looked at", len(s.Widths))
	}
}
