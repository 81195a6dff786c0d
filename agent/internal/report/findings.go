package report

import "github.com/wolkvox/backup"

// severity says how much a finding wants somebody's attention. It is the class of its line in HTML.
type severity string

const (
	good  severity = "good"
	plain severity = "plain"
	warn  severity = "warn"
	bad   severity = "bad"
)

// mark is what stands before a finding where there are no colours.
func (s severity) mark() string {
	switch s {
	case bad:
		return "!!"
	case warn:
		return "! "
	}
	return "  "
}

// finding is one sentence on the whole period.
type finding struct {
	Severity severity
	Text     string
}

// findings says in sentences what the report amounts to, the good news first and what is to be done next.
func (f form) findings(r Report) (all []finding) {
	total := r.Total()
	expected, confirmed := total.Expected(), total.States[backup.Confirmed]
	add := func(s severity, pair [2]string, count int64, values ...string) {
		if count > 0 {
			all = append(all, finding{s, say(among(pair, count), append(values, "{n}", f.number(count))...)})
		}
	}
	switch {
	case expected.Items == 0 && r.Standings(NotSealed)+r.Standings(Unknown) > 0: // nobody knows how many there should be
	case expected.Items == 0:
		all = append(all, finding{plain, f.noneExpected[0]})
	case confirmed.Items == expected.Items:
		add(good, f.allConfirmed, confirmed.Items)
	default:
		all = append(all, finding{plain, say(among(f.someConfirmed, confirmed.Items), "{n}", f.number(confirmed.Items), "{m}", f.number(expected.Items),
			"{share}", f.percent(confirmed.Items, expected.Items))})
	}
	add(bad, f.expired, total.States[backup.Expired].Items)
	if pending := total.States[backup.Pending].Items; pending > 0 {
		add(warn, f.pending, pending, "{date}", f.lastDay(total.Deadline), "{days}", f.daysLeft(total.Deadline, r.Made))
	}
	add(bad, f.notSealed, r.Standings(NotSealed))
	add(warn, f.notHeard, r.Standings(Unknown))
	if r.Silence != "" {
		all = append(all, finding{warn, say(f.silence, "{why}", r.Silence)})
	}
	add(plain, f.empty, r.Standings(Empty))
	if total.Interactions != nil {
		add(plain, f.interactions, total.WithoutRecording(), "{m}", f.number(*total.Interactions))
	}
	add(plain, f.unmeasured, expected.Unmeasured)
	return all
}
