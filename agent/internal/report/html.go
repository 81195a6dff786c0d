package report

import (
	"bufio"
	"crypto/sha256"
	_ "embed" // for the page and its style sheet
	"encoding/base64"
	"html/template"
	"io"
	"iter"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fault"
)

//go:embed page.html
var pageText string

//go:embed page.css
var styleSheet string

// page is what page.html shows.
type page struct {
	W          map[string]string // labels
	Meanings   [][2]string
	Title      string
	Policy     string       // what a browser may load: this style sheet, and nothing else from anywhere
	Style      template.CSS // constant
	Facts      [][2]string
	Findings   []finding
	Tiles      []tile
	Plots      []plot
	Causes     []causeRow
	Unrecorded [][2]string
	Nights     []nightRow
	Total      nightRow
	Files      iter.Seq[fileRow] // nil where they are not wanted
}

// tile is one figure that is seen from afar.
type tile struct{ Class, Label, Value, Note string }

type causeRow struct{ State, Count, Cause, Party, Code, Message string }

// nightRow is a line of the table of nights; cells that say more than a number have it in a note.
type nightRow struct {
	Name     string
	Standing string // why there are no cells; empty where there are
	Class    string
	Cells    []cell
}

type cell struct{ Label, Value, Note, Class string }

type fileRow struct{ Night, Name, Interaction, Kind, Size, Length, State, Class, Note, Recorded string }

// writeHTML writes one file that loads nothing and runs nothing.
func (r Report) writeHTML(out io.Writer, l fault.Language) error {
	t, err := template.New("page").Option("missingkey=error").Parse(pageText)
	if err != nil {
		return err
	}
	f := newForm(l, r.Zone)
	total := r.Total()
	hash := sha256.Sum256([]byte(styleSheet))
	p := page{
		W: f.labels(), Meanings: f.meanings, Title: f.title + " – " + r.Destination, Style: template.CSS(styleSheet), // #nosec: constant
		Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'",
		Facts: [][2]string{
			{f.period, f.nightsOf(r)}, {f.place, r.Destination + ", " + r.Location},
			{f.made, f.clock(r.Made) + " (" + r.Zone.String() + ")"}, {f.agreed, f.head(r)},
		},
		Findings: f.findings(r), Tiles: f.tiles(total), Total: f.nightRow(f.total, total, r),
	}
	if len(r.Nights) >= plotNights {
		p.Plots = append(p.Plots, f.itemsPlot(r))
		if total.Expected().Sound > 0 {
			p.Plots = append(p.Plots, f.soundPlot(r))
		}
	}
	for _, c := range total.Causes {
		row := causeRow{State: f.states[c.State], Count: f.number(c.Items), Cause: f.noFault}
		if c.Class != "" {
			row.Cause, row.Party, row.Code, row.Message = or(f.classes, c.Class), or(f.parties, c.Party), c.Code, c.Message
		}
		p.Causes = append(p.Causes, row)
	}
	for _, u := range total.Unrecorded {
		p.Unrecorded = append(p.Unrecorded, [2]string{or(f.reasons, u.Code), f.number(u.Count)})
	}
	for _, n := range r.Nights {
		p.Nights = append(p.Nights, f.nightRow(f.weekday(n.Date)+" "+f.date(n.Date), n, r))
	}
	var broken error
	if r.Files != nil {
		p.Files = func(yield func(fileRow) bool) {
			for file, err := range r.Files {
				if err != nil {
					broken = err
					return
				}
				if !yield(f.fileRow(file)) {
					return
				}
			}
		}
	}
	w := bufio.NewWriter(out)
	if err := t.Execute(w, p); err != nil {
		return err
	}
	if broken != nil {
		return broken
	}
	return w.Flush()
}

// labels are the words that stand in the page itself.
func (f form) labels() map[string]string {
	return map[string]string{
		"Language": f.language, "Findings": f.words.findings, "Causes": f.causes, "Recordings": f.recordings, "State": f.state, "Cause": f.cause, "Party": f.party,
		"Code": f.code, "None": f.none, "Unrecorded": f.unrecorded, "Reason": f.reason, "Count": f.count, "Nights": f.nights, "Night": f.night, "Files": f.files,
		"Name": f.name, "Recorded": f.recorded, "Kind": f.kind, "Size": f.size, "Duration": f.duration, "Nothing": f.nothing, "Meaning": f.meaning,
	}
}

func (f form) tiles(total Night) []tile {
	expected := total.Expected()
	count := func(class string, s backup.State) tile {
		a := total.States[s]
		if a.Items == 0 {
			class = "none"
		}
		return tile{class, f.states[s], f.number(a.Items), f.percent(a.Items, expected.Items)}
	}
	tiles := []tile{
		{"none", f.expected, f.number(expected.Items), f.bytes(expected.Bytes)},
		count("good", backup.Confirmed), count("warn", backup.Pending), count("bad", backup.Expired),
		{"none", f.sound, f.hours(expected.Sound), f.unmeasuredNote(expected)},
	}
	if total.Interactions != nil {
		tiles = append(tiles, tile{"none", f.withoutRecording, f.number(total.WithoutRecording()), f.whole + " " + f.number(*total.Interactions)})
	}
	return tiles
}

func (f form) unmeasuredNote(a Amount) string {
	if a.Unmeasured == 0 {
		return ""
	}
	return say(f.measuredOnly, "{n}", f.number(a.Unmeasured))
}

// nightRow puts a night, or all of them, into a line.
func (f form) nightRow(name string, n Night, r Report) nightRow {
	if n.Standing != 0 && n.Standing != Sealed {
		return nightRow{Name: name, Standing: f.standings[n.Standing], Class: n.Standing.String()}
	}
	expected := n.Expected()
	counted := func(s backup.State, class string, note string) cell {
		c := cell{Label: f.states[s], Value: f.number(n.States[s].Items), Class: "zero"}
		if n.States[s].Items > 0 {
			c.Class, c.Note = class, note
		}
		return c
	}
	until := ""
	if !n.Deadline.IsZero() {
		until = f.until + " " + f.lastDay(n.Deadline) + ", " + f.daysLeft(n.Deadline, r.Made)
	}
	var others []string
	var other Amount
	for _, s := range []backup.State{backup.Waived, backup.Released, backup.Forgotten} {
		if a := n.States[s]; a.Items > 0 {
			other = other.Plus(a)
			others = append(others, strings.ToLower(f.states[s])+space+f.number(a.Items))
		}
	}
	otherClass := ""
	if other.Items == 0 {
		otherClass = "zero"
	}
	without := cell{Label: f.withoutRecording, Value: f.none, Class: "zero"}
	if n.Interactions != nil {
		without.Class = "inline"
		without.Value, without.Note = f.number(n.WithoutRecording()), f.whole+" "+f.number(*n.Interactions)
	}
	return nightRow{Name: name, Cells: []cell{
		{Label: f.expected, Value: f.number(expected.Items)},
		counted(backup.Confirmed, "", ""),
		counted(backup.Pending, "warn", until),
		counted(backup.Expired, "bad", f.expiredNote(n)),
		{Label: f.other, Value: f.number(other.Items), Note: strings.Join(others, ", "), Class: otherClass},
		counted(backup.Withdrawn, "", f.replacedNote(n)),
		{Label: f.size, Value: f.bytes(expected.Bytes)},
		{Label: f.sound, Value: f.hours(expected.Sound), Note: f.unmeasuredNote(expected)},
		without,
	}}
}

// expiredNote names the causes of what expired; the table of causes says more.
func (f form) expiredNote(n Night) string {
	var all []string
	for _, c := range n.Causes {
		switch {
		case c.State != backup.Expired:
		case c.Class == "":
			all = append(all, f.noFault)
		default:
			all = append(all, or(f.classes, c.Class)+" ("+or(f.parties, c.Party)+")")
		}
	}
	return strings.Join(all, ", ")
}

func (f form) replacedNote(n Night) string {
	if n.Replaced == 0 {
		return ""
	}
	return say(among(f.replaced, n.Replaced), "{n}", f.number(n.Replaced))
}

func (f form) fileRow(file File) fileRow {
	row := fileRow{Night: f.date(file.Night), Name: f.erased, State: f.stateOfOne(file.State), Class: file.State.String(), Length: f.none, Size: f.none, Recorded: f.none, Kind: f.none}
	if file.Item.Path != "" {
		row.Name, row.Kind, row.Size = file.Item.Path, file.Item.Kind.String(), f.bytes(file.Item.Digest.SizeBytes)
	}
	if file.Item.Interaction != "" {
		row.Interaction = f.interaction + space + file.Item.Interaction
	}
	if !file.Item.RecordedAt.IsZero() {
		row.Recorded = f.clock(file.Item.RecordedAt)
	}
	if file.Sound >= 0 {
		row.Length = length(file.Sound)
	}
	if !file.Deadline.IsZero() {
		row.Note = f.until + " " + f.lastDay(file.Deadline)
	}
	if file.Cause.Class != "" {
		row.Note = strings.TrimPrefix(row.Note+"; "+f.causeLine(file.Cause), "; ")
	}
	return row
}
