package schedule

import (
	"testing"
	"time"
)

func TestLimitAt(t *testing.T) {
	t.Parallel()
	limits := []Limit{{7 * time.Hour, 20 * time.Hour, 1}, {22 * time.Hour, 2*time.Hour + 30*time.Minute, 2}, {2*time.Hour + 30*time.Minute, 3 * time.Hour, 3}}
	for _, test := range []struct {
		zone, at string
		want     int64 // 0 for none
	}{
		{"America/Bogota", "2026-03-01T11:59:59Z", 0},
		{"America/Bogota", "2026-03-01T12:00:00Z", 1},
		{"America/Bogota", "2026-03-02T00:59:59Z", 1},
		{"America/Bogota", "2026-03-02T01:00:00Z", 0},
		{"America/Bogota", "2026-03-02T03:00:00Z", 2},
		{"America/Bogota", "2026-03-02T05:00:00Z", 2},
		{"America/Bogota", "2026-03-02T07:29:59Z", 2},
		{"America/Bogota", "2026-03-02T07:30:00Z", 3},
		// In Madrid clocks go from 02:00 to 03:00 on 29 March: one span ends early, and the next is skipped.
		{"Europe/Madrid", "2026-03-29T00:59:59Z", 2},
		{"Europe/Madrid", "2026-03-29T01:00:00Z", 0},
		// And from 03:00 to 02:00 on 25 October: both are there twice.
		{"Europe/Madrid", "2026-10-25T00:29:59Z", 2},
		{"Europe/Madrid", "2026-10-25T00:30:00Z", 3},
		{"Europe/Madrid", "2026-10-25T01:00:00Z", 2},
		{"Europe/Madrid", "2026-10-25T01:30:00Z", 3},
		{"Europe/Madrid", "2026-10-25T02:00:00Z", 0},
		// A day's limit holds from the same local hour on, the day before and after.
		{"Europe/Madrid", "2026-03-28T05:59:59Z", 0},
		{"Europe/Madrid", "2026-03-28T06:00:00Z", 1},
		{"Europe/Madrid", "2026-03-29T05:00:00Z", 1},
	} {
		got, ok := LimitAt(limits, at(t, test.at), location(t, test.zone))
		if got != test.want || ok != (test.want != 0) {
			t.Errorf("%s at %s: limit %d, %v, want %d", test.zone, test.at, got, ok, test.want)
		}
	}
	if _, ok := LimitAt(nil, time.Now(), time.UTC); ok {
		t.Error("no limits limit something")
	}
}
