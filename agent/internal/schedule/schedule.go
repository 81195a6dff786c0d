// Package schedule says when a night's window is open, and which limit holds at which hour. Windows are spans of local
// time keyed by the calendar date on which they start, so that none is skipped or doubled when clocks change; limits go by
// what clocks show. It reads no clock.
package schedule

import (
	"time"

	"github.com/wolkvox/backup"
)

// Window is a nightly span of local time. The zero value is never open.
type Window struct {
	Start, End time.Duration  // after local midnight; End at or before Start is on the following day
	Location   *time.Location // the tenant's zone
}

// Span is one opening of a window.
type Span struct {
	Date        backup.Date // the local date on which it starts
	Start, Stop time.Time   // UTC; open from Start on, before Stop
}

// On returns the span that starts on the given date. A start or end that clocks skip is the first instant after
// the gap; one that they show twice is the first of the two. A window that lies in a gap as a whole opens after it
// for as long as it would have.
func (w Window) On(date backup.Date) Span {
	stopDate, length := date, w.End-w.Start
	if length <= 0 {
		stopDate, length = date.AddDays(1), length+24*time.Hour
	}
	span := Span{Date: date, Start: w.instant(date, w.Start), Stop: w.instant(stopDate, w.End)}
	if !span.Stop.After(span.Start) {
		span.Stop = span.Start.Add(length)
	}
	return span
}

// Next returns the span that is open at the given time, or else the next one to open.
func (w Window) Next(at time.Time) Span {
	for date := backup.DateOf(at.In(w.Location)).AddDays(-2); ; date = date.AddDays(1) {
		if span := w.On(date); span.Stop.After(at) {
			return span
		}
	}
}

// Contains reports whether the span is open at the given time.
func (s Span) Contains(at time.Time) bool { return !at.Before(s.Start) && at.Before(s.Stop) }

// instant returns the first instant at which clocks in the zone show the time of day, or a later one, on date.
func (w Window) instant(date backup.Date, timeOfDay time.Duration) time.Time {
	wanted := time.Date(date.Year, date.Month, date.Day, 0, 0, 0, 0, time.UTC).Add(timeOfDay)
	return backup.FirstInstant(date.AddDays(-1).EndIn(w.Location), func(t time.Time) bool {
		_, offset := t.In(w.Location).Zone()
		return !t.Add(time.Duration(offset) * time.Second).Before(wanted)
	})
}
