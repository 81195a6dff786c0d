//go:build peers

package recordings

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestPlayersPlay has sox decode every kind of sound, and compares its length.
func TestPlayersPlay(t *testing.T) {
	t.Parallel()
	from, until := span()
	tests := []struct {
		kind                       Kind
		sizeBytes, samples, excess int64
	}{
		{GSM, 33 * 500, 160 * 500, 0},
		{WAV49, 65 * 250, 320 * 250, 0},
		{MP3, 144 * 500, 576 * 500, 2 * 576}, // decoders add their delay, or drop the first frame
	}
	for _, test := range tests {
		dir := t.TempDir()
		if err := Make(dir, Options{Seed: 5, Count: 3, MedianBytes: test.sizeBytes, Kinds: []Kind{test.kind}, From: from, Until: until}); err != nil {
			t.Fatal(err)
		}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			wave := filepath.Join(t.TempDir(), "decoded.wav")
			if out, err := exec.Command("sox", path, "-b", "16", "-e", "signed", wave).CombinedOutput(); err != nil || len(out) > 0 {
				return fmt.Errorf("sox %s: %w: %s", path, err, out)
			}
			out, err := exec.Command("soxi", "-s", wave).Output()
			if err != nil {
				return fmt.Errorf("soxi: %w", err)
			}
			samples, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
			if err != nil {
				return err
			}
			if samples < test.samples-test.excess || samples > test.samples+test.excess {
				t.Errorf("%s has %d samples, want %d", path, samples, test.samples)
			}
			return os.Remove(wave)
		})
		if err != nil {
			t.Error(err)
		}
	}
}
