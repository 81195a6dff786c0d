package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/wolkvox/backup"
)

// plot is a small drawing of a value per night: columns in a picture that is stretched to its room, and words around it that
// are not, so that they can be read at any width.
type plot struct {
	ID, Title, Most, Half string
	Description           string // what the drawing shows, for who cannot see it
	Width                 int    // of the drawing, in its own units; its height is plotHeight
	Columns               []column
	First, Middle, Last   string // nights below it
	Legend                []legend
}

type legend struct{ Class, Text string }

// column is one night.
type column struct {
	Title string // shown where somebody points at it
	Bars  []bar
}

type bar struct {
	Class         string
	X, Y          int
	Width, Height string
}

const (
	plotHeight  = 100
	columnWidth = 10
	// plotNights is how many nights it takes for a drawing to say more than their line in the table.
	plotNights = 4
	// leastHeight is how high anything is drawn that is not nothing: one expired recording among 20,000 is to be seen.
	leastHeight = 2
)

// series are the states from the foot of a column up, and what they are called in the style sheet.
var series = [...]struct {
	class  string
	states []backup.State
}{
	{"confirmed", []backup.State{backup.Confirmed}},
	{"other", []backup.State{backup.Waived, backup.Released, backup.Forgotten}},
	{"pending", []backup.State{backup.Pending}},
	{"expired", []backup.State{backup.Expired}},
}

// itemsPlot draws the recordings of each night by state.
func (f form) itemsPlot(r Report) plot {
	var most int64
	for _, n := range r.Nights {
		most = max(most, n.Expected().Items)
	}
	top := roundUp(most)
	p := f.newPlot(r, "items", f.plotItems, f.number(top), f.number(top/2), func(n Night) (values [len(series)]int64) {
		for i, s := range series {
			for _, state := range s.states {
				values[i] += n.States[state].Items
			}
		}
		return values
	}, top)
	p.Description += say(f.most, "{n}", f.number(most)) + ". " + f.findings(r)[0].Text
	names := [...]string{f.states[backup.Confirmed], f.other, f.states[backup.Pending], f.states[backup.Expired]}
	for i, s := range series {
		p.Legend = append(p.Legend, legend{s.class, names[i]})
	}
	for _, s := range []Standing{NotSealed, Unknown} {
		if r.Standings(s) > 0 {
			p.Legend = append(p.Legend, legend{s.String(), f.standings[s]})
		}
	}
	return p
}

// soundPlot draws the hours of audio that each night has.
func (f form) soundPlot(r Report) plot {
	var most time.Duration
	for _, n := range r.Nights {
		most = max(most, n.Expected().Sound)
	}
	top := time.Duration(roundUp(int64(most/time.Second))) * time.Second
	if most > 10*time.Hour {
		top = time.Duration(roundUp(int64((most+time.Hour-1)/time.Hour))) * time.Hour
	}
	p := f.newPlot(r, "sound", f.plotSound, f.round(f.hours(top)), f.round(f.hours(top/2)), func(n Night) (values [len(series)]int64) {
		values[0] = int64(n.Expected().Sound)
		return values
	}, int64(top))
	p.Description += say(f.most, "{n}", f.hours(most)) + ". " + f.total + ": " + f.hours(r.Total().Expected().Sound)
	for _, c := range p.Columns {
		for i := range c.Bars {
			if c.Bars[i].Class == series[0].class {
				c.Bars[i].Class = "sound"
			}
		}
	}
	return p
}

// round leaves out a tenth that is none.
func (f form) round(quantity string) string {
	return strings.Replace(quantity, f.point+"0"+space, space, 1)
}

// newPlot draws what value says of each night, at most top.
func (f form) newPlot(r Report, id, title, most, half string, value func(Night) [len(series)]int64, top int64) plot {
	p := plot{ID: id, Title: title, Most: most, Half: half, Width: columnWidth * len(r.Nights),
		Description: f.nightsOf(r) + ". "}
	for i, n := range r.Nights {
		c := column{Title: f.nightTitle(n)}
		if n.Standing == NotSealed || n.Standing == Unknown {
			c.Bars = append(c.Bars, bar{n.Standing.String(), i*columnWidth + 1, 0, "8", "100"})
		}
		foot := float64(plotHeight)
		for s, v := range value(n) {
			if v == 0 {
				continue
			}
			height := min(max(float64(v)/float64(top)*plotHeight, leastHeight), foot)
			foot -= height
			c.Bars = append(c.Bars, bar{Class: series[s].class, X: i*columnWidth + 1, Y: int(foot), Width: "8", Height: fmt.Sprintf("%.0f", foot+height-float64(int(foot)))})
			foot = float64(int(foot))
		}
		p.Columns = append(p.Columns, c)
	}
	p.First, p.Last = f.dayMonth(r.From), f.dayMonth(r.To)
	if count := len(r.Nights); count > 6 {
		p.Middle = f.dayMonth(r.Nights[count/2].Date)
	}
	return p
}

// nightTitle says in one line what became of a night.
func (f form) nightTitle(n Night) string {
	title := f.weekday(n.Date) + " " + f.date(n.Date) + ": "
	if n.Standing != Sealed {
		return title + f.standings[n.Standing]
	}
	title += fmt.Sprintf("%s %s, %s", f.expected, f.number(n.Expected().Items), f.hours(n.Expected().Sound))
	for _, s := range backup.States {
		if n.States[s].Items > 0 {
			title += fmt.Sprintf(", %s %s", f.states[s], f.number(n.States[s].Items))
		}
	}
	return title
}

func (f form) dayMonth(d backup.Date) string { return fmt.Sprintf("%d %s", d.Day, f.months[d.Month-1]) }

// roundUp returns the next number that is easy to read and to halve, at least 2.
func roundUp(n int64) int64 {
	for power := int64(1); ; power *= 10 {
		for _, step := range []int64{2, 4, 6, 8} {
			if n <= step*power {
				return step * power
			}
		}
		if n <= 10*power {
			return 10 * power
		}
	}
}
