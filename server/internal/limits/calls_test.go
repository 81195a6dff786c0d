package limits

import (
	"testing"
	"time"
)

// Whoever called once and is gone is forgotten, and whoever still calls is not.
func TestSweep(t *testing.T) {
	t.Parallel()
	l := New(Options{CallsPerCaller: 2})
	at := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	gone, ok := l.callers.enter("gone", "/s/M", 1, at)
	if !ok {
		t.Fatal("a first call is refused")
	}
	if _, ok := l.callers.enter("gone", "/s/M", 1, at); ok {
		t.Error("a second stream of a method is let in where one is allowed")
	}
	l.callers.leave(gone, "/s/M", 1)
	if _, ok := l.callers.enter("calls", "/s/M", 0, at); !ok {
		t.Fatal("a first call is refused")
	}
	if _, ok := l.callers.enter("other", "/s/M", 0, at.Add(3*time.Minute)); !ok {
		t.Fatal("a first call is refused")
	}
	if _, kept := l.callers.byName["gone"]; kept {
		t.Error("a caller without calls is kept")
	}
	if c := l.callers.byName["calls"]; c == nil || c.calls != 1 {
		t.Error("a caller that still calls is forgotten")
	}
}
