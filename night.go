package backup

import (
	"fmt"
	"time"
)

// Date is a calendar date. As a night it is the local date on which recordings were made.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the calendar date of t in t's own location.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// ParseDate reads YYYY-MM-DD, an existing date of the years 1970 to 9999.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Format(time.DateOnly) != s || t.Year() < 1970 {
		return Date{}, fmt.Errorf("%q is not a date of the form YYYY-MM-DD", s)
	}
	return DateOf(t), nil
}

// String returns YYYY-MM-DD.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// IsZero reports whether d is the zero Date, which is no date.
func (d Date) IsZero() bool { return d == Date{} }

// AddDays returns the date n days later, or earlier where n is negative.
func (d Date) AddDays(n int) Date {
	return DateOf(time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, time.UTC))
}

// Compare is negative where d is before e, positive where it is after, and 0 where they are equal.
func (d Date) Compare(e Date) int {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Compare(time.Date(e.Year, e.Month, e.Day, 0, 0, 0, 0, time.UTC))
}

// EndIn returns the first instant after the date d in loc, in UTC. Midnight does not exist everywhere every
// day, and some clocks go back across it; the result is the first instant from which on no clock in loc shows
// d or an earlier date.
func (d Date) EndIn(loc *time.Location) time.Time {
	next := d.AddDays(1)
	// No zone is further than 26 hours from UTC on either side of a change, so the end lies in this span.
	from := time.Date(next.Year, next.Month, next.Day, 0, 0, 0, 0, time.UTC).Add(-48 * time.Hour)
	until := from.Add(96 * time.Hour)
	end := from
	for at := from; at.Before(until); {
		_, zoneEnd := at.In(loc).ZoneBounds()
		if zoneEnd.IsZero() || zoneEnd.After(until) {
			zoneEnd = until
		}
		_, offset := at.In(loc).Zone()
		midnight := time.Date(next.Year, next.Month, next.Day, 0, 0, 0, 0, time.FixedZone("", offset))
		switch {
		case !midnight.After(at): // the whole segment lies after d
		case midnight.Before(zoneEnd):
			end = midnight
		default:
			end = zoneEnd
		}
		at = zoneEnd
	}
	return end.UTC()
}

// Deadline returns the instant at which a manifest's retries end: the first instant that exists in loc after
// the date max(night, local date of sealing) + windowDays. Late sealing by wolkvox never shortens the window.
func Deadline(night Date, sealedAt time.Time, windowDays int, loc *time.Location) time.Time {
	last := night
	if sealed := DateOf(sealedAt.In(loc)); sealed.Compare(night) > 0 {
		last = sealed
	}
	return last.AddDays(windowDays).EndIn(loc)
}
