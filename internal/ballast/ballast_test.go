package ballast

import (
	"os"
	"path/filepath"
	"testing"
)

// The ballast is made when there is plenty, stays while space gets scarce, goes when hardly any is left, and comes back.
func TestBallast(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	b := ballast{path: filepath.Join(t.TempDir(), "ballast"), reserveBytes: 16 * mib}
	for _, step := range []struct {
		free  int64
		there bool
	}{
		{20 * mib, false}, {40 * mib, true}, {17 * mib, true}, {5 * mib, true}, {3 * mib, false}, {20 * mib, false}, {31 * mib, false}, {32 * mib, true},
	} {
		if _, err := b.adjust(step.free); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(b.path)
		if there := err == nil; there != step.there {
			t.Errorf("with %d MiB free the ballast is there: %v, want %v", step.free/mib, there, step.there)
		}
		if err == nil && info.Size() != 8*mib {
			t.Errorf("the ballast has %d bytes, want half of the reserve", info.Size())
		}
	}
}
