package schedule

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/wolkvox/backup"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func location(t *testing.T, zone string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestOn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, zone  string
		start, end  time.Duration
		date        backup.Date
		open, close string
	}{
		{"Bogota", "America/Bogota", 2 * time.Hour, 6 * time.Hour, backup.Date{Year: 2026, Month: 3, Day: 1}, "2026-03-01T07:00:00Z", "2026-03-01T11:00:00Z"},
		{"over midnight", "America/Bogota", 22 * time.Hour, 6 * time.Hour, backup.Date{Year: 2026, Month: 3, Day: 1}, "2026-03-02T03:00:00Z", "2026-03-02T11:00:00Z"},
		{"all day", "America/Bogota", 0, 0, backup.Date{Year: 2026, Month: 3, Day: 1}, "2026-03-01T05:00:00Z", "2026-03-02T05:00:00Z"},
		{"Madrid, the skipped hour", "Europe/Madrid", 2*time.Hour + 30*time.Minute, 6 * time.Hour, backup.Date{Year: 2026, Month: 3, Day: 29}, "2026-03-29T01:00:00Z", "2026-03-29T04:00:00Z"},
		{"Madrid, the doubled hour", "Europe/Madrid", 2*time.Hour + 30*time.Minute, 6 * time.Hour, backup.Date{Year: 2026, Month: 10, Day: 25}, "2026-10-25T00:30:00Z", "2026-10-25T05:00:00Z"},
		{"Santiago, from the missing midnight", "America/Santiago", 0, 6 * time.Hour, backup.Date{Year: 2026, Month: 9, Day: 6}, "2026-09-06T04:00:00Z", "2026-09-06T09:00:00Z"},
		{"Santiago, within the missing hour", "America/Santiago", 30 * time.Minute, 6 * time.Hour, backup.Date{Year: 2026, Month: 9, Day: 6}, "2026-09-06T04:00:00Z", "2026-09-06T09:00:00Z"},
		{"Santiago, within the doubled hour", "America/Santiago", 23*time.Hour + 15*time.Minute, 6 * time.Hour, backup.Date{Year: 2026, Month: 4, Day: 4}, "2026-04-05T02:15:00Z", "2026-04-05T10:00:00Z"},
	}
	for _, tt := range tests {
		got := Window{tt.start, tt.end, location(t, tt.zone)}.On(tt.date)
		if got.Start.Format(time.RFC3339) != tt.open || got.Stop.Format(time.RFC3339) != tt.close {
			t.Errorf("%s: On(%s) = %s to %s, want %s to %s", tt.name, tt.date, got.Start.Format(time.RFC3339), got.Stop.Format(time.RFC3339), tt.open, tt.close)
		}
	}
}

// TestEveryDateOnce walks years of minutes: each local date has one opening, and they follow one another.
func TestEveryDateOnce(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"America/Bogota", "America/Santiago", "Europe/Madrid"} {
		for _, w := range []Window{{2 * time.Hour, 6 * time.Hour, nil}, {22 * time.Hour, 6 * time.Hour, nil}, {0, time.Hour, nil}, {2*time.Hour + 30*time.Minute, 5 * time.Hour, nil}} {
			w.Location = location(t, zone)
			span := w.Next(at(t, "2026-01-01T00:00:00Z"))
			for range 380 {
				if inside := w.Next(span.Start); inside != span || !span.Contains(span.Start) || span.Contains(span.Stop) {
					t.Fatalf("%s %v: Next at the start of %v is %v", zone, w, span, inside)
				}
				next := w.Next(span.Stop)
				if next.Date != span.Date.AddDays(1) {
					t.Fatalf("%s %v: after %s follows %s", zone, w, span.Date, next.Date)
				}
				span = next
			}
		}
	}
}
