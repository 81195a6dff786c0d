//go:build linux && peers

package realnight

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// soon is the name of the zone that [makeZone] makes.
const soon = "Test/Soon"

// makeZone makes a time zone in which it is midnight at an instant of today, and has the programs that the test starts
// know it: so a night ends while the test runs.
func makeZone(t *testing.T, midnight time.Time) {
	t.Helper()
	const day = 24 * 60 * 60
	east := (day - midnight.Unix()%day) % day
	if east > day/2 {
		east -= day
	}
	// The format is that of RFC 8536, section 3, version 1: a header, and one local time type.
	data := append([]byte("TZif"), make([]byte, 16)...)
	for _, count := range []uint32{0, 0, 0, 0, 1, 4} { // UT and standard indicators, leap seconds, transitions; types, characters
		data = binary.BigEndian.AppendUint32(data, count)
	}
	data = binary.BigEndian.AppendUint32(data, uint32(int32(east)))
	data = append(data, 0, 0) // no summer time; its designation begins at 0
	data = append(data, "TST\x00"...)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(soon)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, soon), data, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ZONEINFO", dir)
}
