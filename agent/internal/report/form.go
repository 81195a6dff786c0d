package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fault"
)

// form writes numbers and dates as people of one language do.
type form struct {
	words
	group, point string
	zone         *time.Location
}

func newForm(l fault.Language, zone *time.Location) form {
	if l == fault.Spanish {
		return form{wordsOf(l), ".", ",", zone}
	}
	return form{wordsOf(l), ",", ".", zone}
}

// number writes a count with its thousands apart.
func (f form) number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteString(f.group)
		}
		b.WriteRune(d)
	}
	return b.String()
}

// decimal writes a number with one digit behind the point.
func (f form) decimal(x float64) string {
	whole, tenth, _ := strings.Cut(strconv.FormatFloat(x, 'f', 1, 64), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return whole
	}
	return f.number(n) + f.point + tenth
}

// The space in a quantity does not break.
const space = "\u00a0"

func (f form) bytes(n int64) string {
	const units = "kMGTP"
	if n < 1000 {
		return f.number(n) + space + "B"
	}
	value, unit := float64(n)/1000, 0
	for value >= 1000 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	return f.decimal(value) + space + units[unit:unit+1] + "B"
}

// hours writes how long many recordings sound.
func (f form) hours(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return f.decimal(d.Hours()) + space + "h"
	case d >= time.Minute:
		return f.decimal(d.Minutes()) + space + "min"
	}
	return f.decimal(d.Seconds()) + space + "s"
}

// length writes how long one recording sounds.
func length(d time.Duration) string {
	seconds := int64(d.Round(time.Second) / time.Second)
	if seconds >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}

// percent never says 100 of what is not whole, nor 0 of what is something.
func (f form) percent(part, whole int64) string {
	x := 100 * float64(part) / float64(max(whole, 1))
	if part < whole {
		x = min(x, 99.9)
	}
	if part > 0 {
		x = max(x, 0.1)
	}
	return f.decimal(x) + space + "%"
}

func (f form) date(d backup.Date) string {
	return fmt.Sprintf("%d %s %d", d.Day, f.months[d.Month-1], d.Year)
}

func (f form) weekday(d backup.Date) string {
	return f.weekdays[time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Weekday()]
}

// nightsOf writes the period of a report.
func (f form) nightsOf(r Report) string {
	if r.From == r.To {
		return f.date(r.From)
	}
	return f.date(r.From) + " – " + f.date(r.To)
}

// clock writes an instant by the tenant's clock.
func (f form) clock(t time.Time) string {
	t = t.In(f.zone)
	return f.date(backup.DateOf(t)) + " " + t.Format("15:04")
}

// lastDay writes the last whole day before a deadline, which is the first instant of another.
func (f form) lastDay(deadline time.Time) string {
	return f.date(backup.DateOf(deadline.In(f.zone).Add(-time.Second)))
}

func (f form) daysLeft(deadline, now time.Time) string {
	left := deadline.Sub(now)
	switch days := int64(left / (24 * time.Hour)); {
	case left <= 0:
		return f.passed
	case days < 1:
		return f.today
	default:
		return say(among(f.days, days), "{n}", f.number(days))
	}
}

// stateOfOne writes the state of one recording.
func (f form) stateOfOne(s backup.State) string {
	if one, ok := f.one[s]; ok {
		return one
	}
	return f.states[s]
}
