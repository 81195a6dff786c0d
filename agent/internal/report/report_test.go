package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fault"
)

var update = flag.Bool("update", false, "write testdata again")

func written(t testing.TB, r Report, f Format, l fault.Language) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b, f, l); err != nil {
		t.Fatalf("Write(%s, %s): %v", f, l, err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, l := range []fault.Language{fault.English, fault.Spanish} {
		got := written(t, month(t), Text, l)
		path := filepath.Join("testdata", "month-"+string(l)+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", l, diff)
		}
	}
}

// What is expected is always what its states add up to, in every form.
func TestSums(t *testing.T) {
	t.Parallel()
	r := month(t)
	var head reportJSON
	if err := json.Unmarshal([]byte(written(t, r, JSON, "")), &head); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(written(t, r, CSV, ""))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := make(map[string]int)
	for i, name := range rows[0] {
		column[name] = i
	}
	var sum int64
	for i, n := range head.Nights {
		var states int64
		for s, a := range n.States {
			if s != "withdrawn" {
				states += a.Recordings
			}
			if cell := rows[i+1][column[s]]; cell != strconv.FormatInt(a.Recordings, 10) {
				t.Errorf("night %s has %s %s in CSV, %d in JSON", n.Night, cell, s, a.Recordings)
			}
		}
		if states != n.Expected.Recordings || rows[i+1][column["expected"]] != strconv.FormatInt(states, 10) {
			t.Errorf("night %s: %d expected, %d in its states, %s in CSV", n.Night, n.Expected.Recordings, states, rows[i+1][column["expected"]])
		}
		sum += states
	}
	if head.Total.Expected.Recordings != sum || sum == 0 || len(head.Nights) != 31 || len(rows) != 32 {
		t.Errorf("%d recordings in all, %d in %d nights", head.Total.Expected.Recordings, sum, len(head.Nights))
	}
	if head.Total.Expected.Unmeasured != 12+2*40 || head.Total.Replaced != 4 || *head.Total.DaysLeft != 12 || head.Total.Unrecorded["not-answered"] == 0 {
		t.Errorf("the total is %+v", head.Total)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	r := month(t)
	r.Files = files(nil)
	rows, err := csv.NewReader(strings.NewReader(written(t, r, CSV, ""))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		for _, text := range row {
			if text != "" && strings.ContainsRune("=+-@\t", rune(text[0])) {
				t.Errorf("a spreadsheet takes %q for a formula", text)
			}
		}
	}
	var all struct {
		Total sumsJSON   `json:"total"`
		Files []fileJSON `json:"files"`
	}
	if err := json.Unmarshal([]byte(written(t, r, JSON, "")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Files) != 10 || len(rows) != 11 || all.Files[1].Path != `=HYPERLINK("http://evil.example")` || all.Files[1].AudioSeconds != nil ||
		all.Files[1].Cause == nil || *all.Files[3].AudioSeconds != 3000 || all.Total.Manifests == 0 {
		t.Errorf("the files are %+v", all.Files)
	}
	page := written(t, r, HTML, fault.English)
	if strings.Contains(page, "<script") || !strings.Contains(page, "&lt;script&gt;") {
		t.Error("a name is taken for HTML")
	}
	if strings.Contains(page, "ZgotmplZ") || strings.Count(page, "sha256-") != 1 {
		t.Error("the page lost its policy or its style sheet")
	}
	r.Files = files(errors.New("the stream broke"))
	for _, f := range []Format{HTML, CSV, JSON, Text} {
		if err := r.Write(io.Discard, f, ""); err == nil || !strings.Contains(err.Error(), "broke") {
			t.Errorf("%s: the error at the end is %v", f, err)
		}
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	r := Report{Destination: "nas", From: day(0), To: day(0), Zone: time.UTC, Nights: []Night{{Date: day(0), Standing: Unknown}}, Silence: "no route to host", Files: func(func(File, error) bool) {}}
	for _, f := range []Format{HTML, CSV, JSON, Text} {
		if text := written(t, r, f, ""); f != CSV && !strings.Contains(text, "no route") {
			t.Errorf("%s: nobody says why nothing was heard:\n%s", f, text)
		}
	}
	if err := r.Write(io.Discard, "pdf", ""); err == nil {
		t.Error("a format that there is not is written")
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	en, es := newForm(fault.English, time.UTC), newForm(fault.Spanish, bogota(t))
	at := time.Date(2026, 11, 14, 5, 0, 0, 0, time.UTC)
	for _, c := range [][2]string{
		{en.number(0), "0"}, {en.number(999), "999"}, {en.number(1234567), "1,234,567"}, {es.number(1234567), "1.234.567"}, {en.number(-1000), "-1,000"}, {en.number(-100), "-100"},
		{en.decimal(1234.56), "1,234.6"}, {es.decimal(1234.56), "1.234,6"}, {es.bytes(3_200_000_000), "3,2\u00a0GB"}, {en.bytes(7), "7\u00a0B"},
		{en.hours(90 * time.Minute), "1.5\u00a0h"}, {en.hours(90 * time.Second), "1.5\u00a0min"}, {es.hours(1500 * time.Millisecond), "1,5\u00a0s"},
		{length(3723 * time.Second), "1:02:03"}, {length(67 * time.Second), "1:07"},
		{en.percent(999999, 1000000), "99.9\u00a0%"}, {en.percent(1, 1000000), "0.1\u00a0%"}, {en.percent(0, 0), "0.0\u00a0%"}, {en.percent(7, 7), "100.0\u00a0%"},
		{es.date(backup.Date{Year: 2026, Month: 1, Day: 2}), "2 ene 2026"}, {es.weekday(backup.Date{Year: 2026, Month: 11, Day: 21}), "sáb"},
		{es.lastDay(at), "13 nov 2026"}, {en.lastDay(at), "14 Nov 2026"}, {en.clock(at), "14 Nov 2026 05:00"},
		{en.daysLeft(at, at.Add(-25*time.Hour)), "1 day left"}, {es.daysLeft(at, at.AddDate(0, 0, -9)), "quedan 9 días"}, {en.daysLeft(at, at.Add(-time.Hour)), "less than a day left"}, {en.daysLeft(at, at), "the time has passed"},
	} {
		if c[0] != c[1] {
			t.Errorf("%q is written, want %q", c[0], c[1])
		}
	}
	for n, want := range map[int64]int64{0: 2, 2: 2, 3: 4, 9: 10, 11: 20, 812: 1000, 61: 80} {
		if got := roundUp(n); got != want {
			t.Errorf("roundUp(%d) = %d, want %d", n, got, want)
		}
	}
}

// Both languages have words for the same things.
func TestWords(t *testing.T) {
	t.Parallel()
	en, es := english(), spanish()
	if len(en.states) != len(backup.States) || len(es.states) != len(backup.States) || len(en.meanings) != len(es.meanings) {
		t.Error("a state has no word")
	}
	for _, pair := range []struct{ a, b map[string]string }{{en.classes, es.classes}, {en.parties, es.parties}, {en.reasons, es.reasons}} {
		for code := range pair.a {
			if pair.b[code] == "" || len(pair.a) != len(pair.b) {
				t.Errorf("the code %s has no Spanish word", code)
			}
		}
	}
	for s := Empty; s.String() != ""; s++ {
		if en.standings[s] == "" || es.standings[s] == "" {
			t.Errorf("the standing %s has no words", s)
		}
	}
}
