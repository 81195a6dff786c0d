//go:build linux && peers

package realnight

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	soundsPackage = "asterisk-core-sounds-en-gsm"
	minSounds     = 400 // the package has more than 500
	mp3Count      = 150
	wav49Count    = 10
)

// output runs a program that has to succeed and returns what it writes to its standard output.
func output(t testing.TB, dir, program string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", program, args, err, &stdout, &stderr)
	}
	return stdout.String()
}

// makeSounds fills dir with every sound of the Debian package, and with MP3, WAV49 and Ogg files made of some of them. It
// returns how many there are of each kind. Each kind is of a day of its own, ending with yesterday.
func makeSounds(t *testing.T, dir string) map[string]int {
	t.Helper()
	var sounds []string
	for line := range strings.Lines(output(t, "", "dpkg", "-L", soundsPackage)) {
		if name := strings.TrimSpace(line); strings.HasSuffix(name, ".gsm") {
			sounds = append(sounds, name)
		}
	}
	if len(sounds) < minSounds {
		t.Fatalf("%s has %d sounds, want at least %d", soundsPackage, len(sounds), minSounds)
	}
	slices.Sort(sounds)
	root := filepath.Dir(sounds[0])
	var jobs []func() error
	place := func(kind, sound, suffix string) string {
		below, err := filepath.Rel(root, sound)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, kind, strings.TrimSuffix(below, ".gsm")+suffix)
	}
	for i, sound := range sounds {
		jobs = append(jobs, func() error { return copyTo(sound, place("gsm", sound, ".gsm"), daysAgo(3)) })
		if i < mp3Count {
			jobs = append(jobs, func() error {
				return pipe(`sox "$1" -t wav -e signed -b 16 - | lame --quiet - "$2"`, sound, place("mp3", sound, ".mp3"), daysAgo(2))
			})
		}
		if i < wav49Count {
			jobs = append(jobs, func() error {
				return pipe(`sox "$1" -t wav -e gsm-full-rate "$2"`, sound, place("wav49", sound, ".WAV"), daysAgo(1))
			})
		}
	}
	jobs = append(jobs, func() error {
		return pipe(`sox "$1" -t ogg "$2"`, sounds[0], place("other", sounds[0], ".ogg"), daysAgo(1))
	})
	run(t, jobs)
	return map[string]int{"gsm": len(sounds), "mp3": mp3Count, "wav49": wav49Count, "other": 1}
}

// changeSound changes the contents of a sound, and returns its path below dir, and the one that its replacement has to get.
func changeSound(t *testing.T, dir string) (path, replacement string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "other", "*.ogg"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the Ogg files are %q, %v", found, err)
	}
	from := filepath.Join(t.TempDir(), "before.ogg")
	if err := os.Rename(found[0], from); err != nil {
		t.Fatal(err)
	}
	if err := pipe(`sox --volume 0.5 "$1" -t ogg "$2"`, from, found[0], daysAgo(1)); err != nil {
		t.Fatal(err)
	}
	path = "other/" + filepath.Base(found[0])
	return path, strings.TrimSuffix(path, ".ogg") + "~2.ogg"
}

func daysAgo(days int) time.Time { return time.Now().AddDate(0, 0, -days) }

// run does the jobs, as many at once as there are processors.
func run(t *testing.T, jobs []func() error) {
	t.Helper()
	waiting := make(chan func() error)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for job := range waiting {
				if err := job(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, job := range jobs {
		waiting <- job
	}
	close(waiting)
	workers.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func copyTo(from, to string, modified time.Time) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(to, content, 0o644); err != nil {
		return err
	}
	return os.Chtimes(to, modified, modified)
}

// pipe has a shell make the file to from the file from: $2 from $1.
func pipe(script, from, to string, modified time.Time) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script, "bash", from, to)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return os.Chtimes(to, modified, modified)
}
