package size

import (
	"fmt"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{"0": 0, "17": 17, "1KB": 1000, "512KiB": 512 << 10, "20GiB": 20 << 30, "3TB": 3e12, "1 MiB": 1 << 20} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "1.5GiB", "1QB", "9999999999TiB", "1iB"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %d, want an error", text, got)
		}
	}
}

// FuzzParse reads sizes, and every number of bytes that it gives as itself.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "1 MiB", "20GiB", "9223372036854775807", "9999999TiB", "-1", "1.5GB", "KB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(fmt.Sprint(int64(size))); size < 0 || err != nil || again != size {
			t.Errorf("Parse(%q) = %d, which is read as %d, %v", text, size, again, err)
		}
	})
}
