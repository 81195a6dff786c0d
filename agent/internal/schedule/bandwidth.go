package schedule

import "time"

// Limit is a limit that holds for a span of every local day.
type Limit struct {
	Start, End     time.Duration // after local midnight, below 24 hours; End at or before Start is on the following day
	BytesPerSecond int64
}

// LimitAt returns what the first limit says whose span contains the time that clocks in the zone show at the given time,
// and false where none does. A span that clocks skip does not hold on that day; one that they show twice holds twice.
func LimitAt(limits []Limit, at time.Time, zone *time.Location) (bytesPerSecond int64, ok bool) {
	local := at.In(zone)
	shown := time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute + time.Duration(local.Second())*time.Second
	for _, l := range limits {
		inside := l.Start <= shown && shown < l.End
		if l.End <= l.Start {
			inside = l.Start <= shown || shown < l.End
		}
		if inside {
			return l.BytesPerSecond, true
		}
	}
	return 0, false
}
