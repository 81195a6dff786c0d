//go:build linux && peers

package storage

import (
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// newFleet returns a fleet whose destination is in wolkvox Storage, on the server.
func newFleet(t *testing.T, place string) *fleet.Fleet {
	t.Helper()
	f := fleet.New(t, fleet.Options{Kind: "wolkvox", Where: "  wolkvox: {" + place + "}\n"})
	f.Destination = filepath.Join(f.Server.State, "storage", fleet.TenantName, fleet.DestinationName, "files")
	return f
}

// lineBytesPerFile is what a file may put on the line, on the average, where it is copied on the server: its line of the
// manifest, which the agent has to know, and next to nothing for copying.
const lineBytesPerFile = 400

// A night is copied on the server: it ends confirmed and agreed, and the contents never cross the line.
func TestNight(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	const count = 600
	f.Record(t, 1, count, 2, 20_000)
	f.Seal(t)
	before := f.Line.Carried()
	f.Agent.Do(t, "run", "--once")
	carried := f.Line.Carried() - before
	f.CheckComplete(t)
	t.Logf("%d bytes crossed the line for %d files: %d for each", carried, count, carried/count)
	if carried > lineBytesPerFile*count {
		t.Errorf("%d bytes crossed the line for %d files", carried, count)
	}
}
