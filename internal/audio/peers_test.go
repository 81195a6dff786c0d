//go:build linux && peers

package audio

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup"
)

// soundsDir is where Debian's asterisk-core-sounds-en-gsm puts hundreds of spoken GSM files.
const soundsDir = "/usr/share/asterisk/sounds/en_US_f_Allison"

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var errs strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// probed returns how long ffprobe says that a file is, by its packets, in seconds.
func probed(t *testing.T, path string, form ...string) float64 {
	t.Helper()
	text := run(t, "ffprobe", append(form, "-v", "error", "-show_entries", "packet=duration_time", "-of", "csv=p=0", path)...)
	sum := 0.0
	for line := range strings.FieldsSeq(text) {
		seconds, err := strconv.ParseFloat(strings.Trim(line, ","), 64)
		if err != nil {
			t.Fatalf("ffprobe says that a packet of %s takes %q", path, line)
		}
		sum += seconds
	}
	return sum
}

// soxi returns how long sox says that a file is, in seconds.
func soxi(t *testing.T, path string) float64 {
	t.Helper()
	seconds, err := strconv.ParseFloat(run(t, "soxi", "-D", path), 64)
	if err != nil {
		t.Fatal(err)
	}
	return seconds
}

func measured(t *testing.T, path string, kind backup.MediaKind) float64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMeter(kind)
	for len(data) > 0 {
		n := min(len(data), 5000)
		m.Write(data[:n])
		data = data[n:]
	}
	d, known := m.Duration()
	if !known {
		t.Errorf("it is not known how long %s is", path)
	}
	return d.Seconds()
}

func wantClose(t *testing.T, path, who string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.4 { // encoders add some frames
		t.Errorf("%s is %.3f s long; %s says %.3f s", filepath.Base(path), got, who, want)
	}
}

// Real speech, as Debian has it and as sox, lame and ffmpeg make other forms of it.
func TestAgainstPeers(t *testing.T) {
	t.Parallel()
	var sounds []string
	for _, pattern := range []string{"*.gsm", "*/*.gsm"} {
		found, err := filepath.Glob(filepath.Join(soundsDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		sounds = append(sounds, found...)
	}
	if len(sounds) < 100 {
		t.Fatalf("there are %d recordings in %s", len(sounds), soundsDir)
	}
	for i := 0; i < len(sounds); i += 40 {
		wantClose(t, sounds[i], "ffprobe", measured(t, sounds[i], backup.KindGSM), probed(t, sounds[i], "-f", "gsm"))
	}

	dir := t.TempDir()
	speech := filepath.Join(dir, "speech.wav")
	run(t, "sox", append(append([]string{}, sounds[:15]...), "-r", "44100", "-c", "2", speech)...)
	whole := soxi(t, speech)
	if whole < (30 * time.Second).Seconds() {
		t.Fatalf("the speech is %.1f s long", whole)
	}
	for name, command := range map[string][]string{
		"cbr.mp3":        {"lame", "--quiet", "-b", "128"},
		"vbr.mp3":        {"lame", "--quiet", "-V", "4"},
		"vbr-no-tag.mp3": {"lame", "--quiet", "-V", "7", "-t"},
		"abr.mp3":        {"lame", "--quiet", "--abr", "57"},
		"tagged.mp3":     {"lame", "--quiet", "-V", "5", "--tt", "a title", "--add-id3v2", "--pad-id3v2-size", "5000"},
		"mono-22k.mp3":   {"lame", "--quiet", "-m", "m", "--resample", "22.05", "-b", "24"},
		"mono-8k.mp3":    {"lame", "--quiet", "-m", "m", "--resample", "8", "-V", "6"},
		"320.mp3":        {"lame", "--quiet", "-b", "320", "-p"},
	} {
		path := filepath.Join(dir, name)
		run(t, command[0], append(command[1:], speech, path)...)
		got := measured(t, path, backup.KindMP3)
		wantClose(t, path, "ffprobe", got, probed(t, path))
		wantClose(t, path, "soxi", got, soxi(t, path))
		wantClose(t, path, "what it was made of", got, whole)
	}
	path := filepath.Join(dir, "speech49.wav")
	run(t, "sox", speech, "-r", "8000", "-c", "1", "-e", "gsm-full-rate", path)
	got := measured(t, path, backup.KindWAV49)
	wantClose(t, path, "soxi", got, soxi(t, path))
	wantClose(t, path, "ffprobe", got, probed(t, path))

	// A file that was cut: what its header says of the whole is wrong, what the frames say is right.
	data, err := os.ReadFile(filepath.Join(dir, "vbr.mp3"))
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "cut.mp3")
	if err := os.WriteFile(path, data[:len(data)/3], 0o600); err != nil {
		t.Fatal(err)
	}
	if got := measured(t, path, backup.KindMP3); got > whole/2 {
		t.Errorf("a third of the file is %.1f s of %.1f s long", got, whole)
	} else {
		wantClose(t, path, "ffprobe", got, probed(t, path))
	}
}
