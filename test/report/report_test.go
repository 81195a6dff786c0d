//go:build linux && peers

package report

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

const sounds = "/usr/share/asterisk/sounds/en_US_f_Allison" // of Debian's asterisk-core-sounds-en-gsm

// amount and the rest are what docs/administrator.md says of JSON.
type amount struct {
	Recordings, Bytes, Unmeasured int64
	AudioSeconds                  float64 `json:"audio_seconds"`
}

type night struct {
	Night, Standing string
	Expected        amount
	States          map[string]amount
}

type file struct {
	Path, Kind, State string
	AudioSeconds      *float64 `json:"audio_seconds"`
}

type told struct {
	Destination, Silence string
	Total                night
	Nights               []night
	Files                []file
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", program, args, err)
	}
	return strings.TrimSpace(string(out))
}

// record puts speech into the source: Debian's own GSM, and what sox and lame make of it. It returns how long each is.
func record(t *testing.T, dir string, at time.Time) map[string]float64 {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(sounds, "*.gsm"))
	if err != nil || len(found) < 30 {
		t.Fatalf("there are %d recordings in %s, %v", len(found), sounds, err)
	}
	lengths := make(map[string]float64)
	for i, from := range found[:24] {
		name := strings.TrimSuffix(filepath.Base(from), ".gsm")
		wave := filepath.Join(t.TempDir(), "speech.wav")
		run(t, "sox", from, "-r", "22050", wave)
		seconds, err := strconv.ParseFloat(run(t, "soxi", "-D", wave), 64)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0:
			name += ".gsm"
			run(t, "cp", from, filepath.Join(dir, name))
		case 1:
			name += ".mp3"
			run(t, "lame", "--quiet", "-V", "5", wave, filepath.Join(dir, name))
		case 2:
			name += ".mp3"
			run(t, "lame", "--quiet", "-b", "64", "--tt", "a title", "--add-id3v2", wave, filepath.Join(dir, name))
		case 3:
			name += ".wav"
			run(t, "sox", wave, "-r", "8000", "-e", "gsm-full-rate", filepath.Join(dir, name))
		}
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
		lengths[name] = seconds
	}
	return lengths
}

// A night of real recordings is reported with the lengths that soxi says, in forms that agree with each other.
func TestReport(t *testing.T) {
	f := fleet.New(t, fleet.Options{})
	yesterday := time.Now().UTC().AddDate(0, 0, -1)
	lengths := record(t, f.Source, yesterday)
	sum := 0.0
	for _, seconds := range lengths {
		sum += seconds
	}
	f.Seal(t)

	if n := ask(t, f).Nights[28]; n.Standing != "unknown" { // by noon the last one is not due yet
		t.Errorf("before the agent has heard of anything, the night is %+v", n)
	}
	if r := f.RunOnce(t); r.Status != 0 {
		t.Fatalf("the run ends with %v", r)
	}
	report := ask(t, f, "--files")
	n := last(t, report)
	if n.States["confirmed"].Recordings != int64(len(lengths)) || n.Expected.Unmeasured != 0 || math.Abs(n.Expected.AudioSeconds-sum) > 0.2*float64(len(lengths)) {
		t.Errorf("the night is %+v; soxi says %.1f s", n, sum)
	}
	kinds := make(map[string]int)
	for _, file := range report.Files {
		want, ok := lengths[filepath.Base(file.Path)]
		if !ok || file.AudioSeconds == nil || math.Abs(*file.AudioSeconds-want) > 0.5 {
			t.Errorf("%s is %v s long, soxi says %.2f", file.Path, file.AudioSeconds, want)
		}
		kinds[file.Kind]++
	}
	if len(report.Files) != len(lengths) || kinds["mp3"] != 12 || kinds["gsm"] != 6 || kinds["wav49"] != 6 {
		t.Errorf("%d files of the kinds %v", len(report.Files), kinds)
	}
	if report.Silence == "" || report.Destination != fleet.DestinationName {
		t.Errorf("no service runs, but the report says %+v", report)
	}

	rows, err := csv.NewReader(strings.NewReader(f.Agent.Do(t, "report", "--night", n.Night, "--format", "csv"))).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][0] != n.Night || rows[1][3] != strconv.FormatInt(n.Expected.Recordings, 10) {
		t.Errorf("in CSV the night is %q, %v", rows, err)
	}
	for language, words := range map[string]string{"en": "All 24 recordings that were expected are confirmed.", "es": "Las 24 grabaciones esperadas están confirmadas."} {
		page := filepath.Join(f.Dir, language+".html")
		f.Agent.Do(t, "report", "--files", "--language", language, "--to", page)
		text, err := os.ReadFile(page)
		if err != nil || !strings.Contains(string(text), words) || strings.Count(string(text), `scope="row" class="name"`) != len(lengths) {
			t.Errorf("the page in %s: %v\n%s", language, err, text)
		}
	}
	if text := f.Agent.Do(t, "report"); !strings.Contains(text, "before this destination began") {
		t.Errorf("the report on the terminal is\n%s", text)
	}
}

// Where the agent's store was lost, how long recordings are is not known any more but where their size says it, and nothing else is.
func TestLostStore(t *testing.T) {
	f := fleet.New(t, fleet.Options{})
	lengths := record(t, f.Source, time.Now().UTC().AddDate(0, 0, -1))
	f.Seal(t)
	f.RunOnce(t)
	before := last(t, ask(t, f))
	if err := os.RemoveAll(filepath.Join(f.Agent.State, "store")); err != nil {
		t.Fatal(err)
	}
	f.RunOnce(t)
	after := last(t, ask(t, f))
	if after.States["confirmed"].Recordings != before.States["confirmed"].Recordings || after.Expected.Bytes != before.Expected.Bytes {
		t.Errorf("the night was %+v and is %+v", before, after)
	}
	if want := int64(len(lengths) * 3 / 4); after.Expected.Unmeasured != want || after.Expected.AudioSeconds >= before.Expected.AudioSeconds {
		t.Errorf("of %d recordings it is not known how long they are, want %d", after.Expected.Unmeasured, want)
	}
}

func ask(t *testing.T, f *fleet.Fleet, args ...string) (r told) {
	t.Helper()
	if err := json.Unmarshal([]byte(f.Agent.Do(t, append([]string{"report", "--format", "json"}, args...)...)), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// last returns the last night of a report, which is yesterday.
func last(t *testing.T, r told) night {
	t.Helper()
	if len(r.Nights) != 30 {
		t.Fatalf("the report has %d nights", len(r.Nights))
	}
	return r.Nights[29]
}
