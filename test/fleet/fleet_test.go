//go:build linux && peers

package fleet

import "testing"

// TestNight: a small fleet copies its nights, and what it says of itself can be read.
func TestNight(t *testing.T) {
	t.Parallel()
	f := New(t, Options{})
	f.Record(t, 1, 60, 3, 20_000)
	f.Seal(t)
	if nights := f.Nights(t); len(nights) != 3 {
		t.Fatalf("%d manifests were sealed, want 3", len(nights))
	}
	f.Agent.Start(t)
	if r := f.RunOnce(t); r.Status != 0 {
		t.Fatalf("%v\n%s", r, Tail(f.Agent.Log))
	}
	f.CheckSums(t)
	f.CheckComplete(t)
	if f.Line.Carried() == 0 {
		t.Error("nothing went over the line")
	}
	if items := f.Server.Items(t, TenantName, DestinationName, "confirmed"); len(items) != f.WantedCount() {
		t.Errorf("the server lists %d confirmed recordings, want %d", len(items), f.WantedCount())
	}
}
