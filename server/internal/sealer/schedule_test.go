package sealer

import (
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/registry"
)

// Walking through a year minute by minute across both clock changes, every date's cut-off comes exactly once and in order.
func TestCutOffSkipsAndDoublesNothing(t *testing.T) {
	t.Parallel()
	for _, zoneName := range []string{"America/Bogota", "America/Santiago", "Europe/Madrid", "Pacific/Apia", "Australia/Lord_Howe"} {
		for _, after := range []time.Duration{0, 30 * time.Minute, 2*time.Hour + 30*time.Minute, 23*time.Hour + 59*time.Minute} {
			tenant := registry.Tenant{Name: "acme", TimeZone: zoneName, CutOff: after}
			zone, err := tenant.Location()
			if err != nil {
				t.Fatal(err)
			}
			at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
			last := cutOff(tenant, zone, at)
			for range 366 * 24 * 4 {
				at = at.Add(15 * time.Minute)
				switch date := cutOff(tenant, zone, at); {
				case date == last.AddDays(1):
					if early := time.Date(date.Year, date.Month, date.Day, 0, 0, 0, 0, zone).Add(after - 61*time.Minute); at.Before(early) {
						t.Errorf("%s, cut-off %v: that of %s came at %v", zoneName, after, date, at)
					}
					last = date
				case date != last:
					t.Fatalf("%s, cut-off %v: %s follows %s at %v", zoneName, after, date, last, at)
				}
			}
			if want := backup.DateOf(at.In(zone)); last.Compare(want.AddDays(-1)) < 0 {
				t.Errorf("%s, cut-off %v: the last date is %s, today is %s", zoneName, after, last, want)
			}
		}
	}
}
