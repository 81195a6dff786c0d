// Package forecast says, from what the last nights brought, what of the open nights will be copied in time, what will
// expire, and when a disk will be full. It is arithmetic over what a ledger says: it reads no clock, asks nobody, and
// knows nothing of faults or of what people are about to repair.
package forecast

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"
)

// day is what lies between the ends of two nights. That clocks change does not matter here.
const day = 24 * time.Hour

// Rate is what nights brought that had something to copy. The zero value is an unknown rate.
type Rate struct {
	Nights int   // how many
	Items  int64 // confirmed in all of them
	Bytes  int64
}

// Known reports whether there was any such night.
func (r Rate) Known() bool { return r.Nights > 0 }

// PerNight returns the mean of a night, rounded down; 0 where nothing is known.
func (r Rate) PerNight() (items, sizeBytes int64) {
	if !r.Known() {
		return 0, 0
	}
	return r.Items / int64(r.Nights), r.Bytes / int64(r.Nights)
}

// Backlog is what is pending of a manifest.
type Backlog struct {
	Manifest int64
	Items    int64
	Bytes    int64
	Deadline time.Time
}

// weight is what a backlog or a rate counts as: its bytes, but an item no less than one, so that empty files count too.
func weight(items, sizeBytes int64) int64 { return max(items, sizeBytes) }

// Outlook is what will become of a backlog.
type Outlook struct {
	Backlog
	ExpiringItems int64
	ExpiringBytes int64
}

// Of returns what will become of backlogs at a rate, in the order of their deadlines, which is the order in which agents
// copy. The first night that is to come ends at firstEnd, and every other one a day later; what is not confirmed at the end
// of the last night before its deadline expires. At an unknown rate nothing is said to expire.
func Of(rate Rate, backlogs []Backlog, firstEnd time.Time) []Outlook {
	outlooks := make([]Outlook, len(backlogs))
	for i, b := range backlogs {
		outlooks[i].Backlog = b
	}
	slices.SortStableFunc(outlooks, func(a, b Outlook) int {
		return cmp.Or(a.Deadline.Compare(b.Deadline), cmp.Compare(a.Manifest, b.Manifest))
	})
	if !rate.Known() {
		return outlooks
	}
	copied := int64(0)
	for i := range outlooks {
		o := &outlooks[i]
		whole := weight(o.Items, o.Bytes)
		room := mulDiv(nightsUntil(o.Deadline, firstEnd), weight(rate.Items, rate.Bytes), int64(rate.Nights)) - copied
		brought := min(max(room, 0), whole)
		copied += brought
		if missing := whole - brought; missing > 0 {
			o.ExpiringItems = o.Items - mulDiv(o.Items, brought, whole) // a part of a recording is none
			o.ExpiringBytes = mulDiv(o.Bytes, missing, whole)
		}
	}
	return outlooks
}

// nightsUntil returns how many nights end at or before the deadline.
func nightsUntil(deadline, firstEnd time.Time) int64 {
	if deadline.Before(firstEnd) {
		return 0
	}
	return int64(deadline.Sub(firstEnd)/day) + 1
}

// FullAt returns the end of the night in which freeBytes are used up at a rate; false where the rate is unknown or brings
// nothing, or where that is more than ten years away.
func FullAt(rate Rate, freeBytes int64, firstEnd time.Time) (time.Time, bool) {
	if !rate.Known() || rate.Bytes <= 0 {
		return time.Time{}, false
	}
	nights := mulDiv(max(freeBytes, 0), int64(rate.Nights), rate.Bytes)
	if nights > 3650 {
		return time.Time{}, false
	}
	return firstEnd.Add(time.Duration(nights) * day), true
}

// NextEnd returns the first instant after at at which clocks in the zone show the time of day that is end after midnight.
func NextEnd(at time.Time, end time.Duration, zone *time.Location) time.Time {
	y, m, d := at.In(zone).Date()
	for ; ; d++ {
		if t := time.Date(y, m, d, 0, 0, int(end/time.Second), 0, zone); t.After(at) {
			return t.UTC()
		}
	}
}

// mulDiv returns a·b/c rounded down, and the greatest number where that is more. None is negative, and c is not 0.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(hi, lo, uint64(c))
	return int64(min(quotient, math.MaxInt64))
}
