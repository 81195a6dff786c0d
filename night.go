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
	isLater := func(t time.Time) bool { return DateOf(t.In(loc)).Compare(d) > 0 }
	// No zone is further east than 15 hours, on either side of a change, so the end does not lie before this.
	end := time.Date(d.Year, d.Month, d.Day+1, 0, 0, 0, 0, time.UTC).Add(-15 * time.Hour)
	for again := true; again; {
		end, again = FirstInstant(end, isLater), false
		for back := end; back.Before(end.Add(3*time.Hour)) && !again; back = back.Add(clockStep) {
			if !isLater(back) {
				end, again = back, true
			}
		}
	}
	return end
}

// clockStep is shorter than any time that clocks which were set back need to show the same again.
const clockStep = 15 * time.Minute

// FirstInstant returns the first whole second, in UTC, at or after from at which holds is true. It looks every 15
// minutes first and then closer, so holds has to stay true or false for as long: what local clocks show does, whatever
// they are set to. It relies on no tables of when they are set.
func FirstInstant(from time.Time, holds func(time.Time) bool) time.Time {
	at := from.UTC().Truncate(time.Second)
	if at.Before(from) {
		at = at.Add(time.Second)
	}
	if holds(at) {
		return at
	}
	for _, step := range []time.Duration{clockStep, time.Minute, time.Second} {
		for !holds(at.Add(step)) {
			at = at.Add(step)
		}
	}
	return at.Add(time.Second)
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
