package report

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"

	"github.com/wolkvox/backup"
)

// The types here are the form of JSON; docs/administrator.md describes it.

type reportJSON struct {
	Destination string      `json:"destination"`
	Location    string      `json:"location"`
	Origin      string      `json:"origin"`
	FirstNight  string      `json:"first_night"`
	LastNight   string      `json:"last_night"`
	TimeZone    string      `json:"time_zone"`
	MadeTime    string      `json:"made_time"`
	Agreed      *agreedJSON `json:"agreed"`
	Silence     string      `json:"silence"`
	Total       sumsJSON    `json:"total"`
	Nights      []nightJSON `json:"nights"`
}

type agreedJSON struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}

type nightJSON struct {
	Night    string `json:"night"`
	Standing string `json:"standing"`
	sumsJSON
}

type sumsJSON struct {
	Manifests         int64                 `json:"manifests"`
	Expected          amountJSON            `json:"expected"`
	States            map[string]amountJSON `json:"states"`
	Replaced          int64                 `json:"replaced"`
	FirstDeadlineTime string                `json:"first_deadline_time,omitempty"`
	DaysLeft          *int64                `json:"days_left,omitempty"`
	Causes            []causeJSON           `json:"causes"`
	Interactions      *int64                `json:"interactions"`
	WithoutRecording  int64                 `json:"without_recording"`
	Unrecorded        map[string]int64      `json:"unrecorded"`
}

type amountJSON struct {
	Recordings   int64   `json:"recordings"`
	Bytes        int64   `json:"bytes"`
	AudioSeconds float64 `json:"audio_seconds"`
	Unmeasured   int64   `json:"unmeasured"`
}

type causeJSON struct {
	State      string `json:"state"`
	Class      string `json:"class"`
	Party      string `json:"party"`
	Code       string `json:"code"`
	Message    string `json:"message"`
	Recordings int64  `json:"recordings,omitempty"`
}

type fileJSON struct {
	Night        string     `json:"night"`
	Manifest     int64      `json:"manifest"`
	Index        int64      `json:"index"`
	State        string     `json:"state"`
	Path         string     `json:"path"`
	Kind         string     `json:"kind,omitempty"`
	SizeBytes    int64      `json:"size_bytes"`
	AudioSeconds *float64   `json:"audio_seconds"`
	RecordedTime string     `json:"recorded_time,omitempty"`
	Interaction  string     `json:"interaction,omitempty"`
	SHA256       string     `json:"sha256,omitempty"`
	DeadlineTime string     `json:"deadline_time,omitempty"`
	Cause        *causeJSON `json:"cause,omitempty"`
}

// writeJSON writes one object. Files are its last member, and each of them a line.
func (r Report) writeJSON(w io.Writer) error {
	text, err := json.MarshalIndent(r.head(), "", "  ")
	if err != nil {
		return err
	}
	if r.Files == nil {
		_, err = w.Write(append(text, '\n'))
		return err
	}
	if _, err := w.Write(append(bytes.TrimSuffix(text, []byte("\n}")), ",\n  \"files\": ["...)); err != nil {
		return err
	}
	separator := "\n    "
	for f, err := range r.Files {
		if err != nil {
			return err
		}
		line, err := json.Marshal(fileOf(f))
		if err != nil {
			return err
		}
		if _, err := w.Write(append([]byte(separator), line...)); err != nil {
			return err
		}
		separator = ",\n    "
	}
	_, err = io.WriteString(w, "\n  ]\n}\n")
	return err
}

func (r Report) head() reportJSON {
	head := reportJSON{
		Destination: r.Destination, Location: r.Location, Origin: r.Origin, FirstNight: r.From.String(), LastNight: r.To.String(),
		TimeZone: r.Zone.String(), MadeTime: instant(r.Made), Silence: r.Silence, Total: r.sums(r.Total()), Nights: []nightJSON{},
	}
	if r.AgreedSize > 0 {
		head.Agreed = &agreedJSON{r.AgreedSize, hex.EncodeToString(r.AgreedRoot)}
	}
	for _, n := range r.Nights {
		head.Nights = append(head.Nights, nightJSON{n.Date.String(), n.Standing.String(), r.sums(n)})
	}
	return head
}

func (r Report) sums(n Night) sumsJSON {
	sums := sumsJSON{
		Manifests: n.Manifests, Expected: amountOf(n.Expected()), States: make(map[string]amountJSON), Replaced: n.Replaced, FirstDeadlineTime: instant(n.Deadline),
		Causes: []causeJSON{}, Interactions: n.Interactions, WithoutRecording: n.WithoutRecording(), Unrecorded: make(map[string]int64),
	}
	for _, s := range backup.States {
		sums.States[s.String()] = amountOf(n.States[s])
	}
	if !n.Deadline.IsZero() {
		days := daysTo(n.Deadline, r.Made)
		sums.DaysLeft = &days
	}
	for _, c := range n.Causes {
		sums.Causes = append(sums.Causes, causeJSON{c.State.String(), c.Class, c.Party, c.Code, c.Message, c.Items})
	}
	for _, u := range n.Unrecorded {
		sums.Unrecorded[u.Code] = u.Count
	}
	return sums
}

func amountOf(a Amount) amountJSON {
	return amountJSON{a.Items, a.Bytes, seconds(a.Sound), a.Unmeasured}
}

func fileOf(f File) fileJSON {
	j := fileJSON{Night: f.Night.String(), Manifest: f.Manifest, Index: f.Index, State: f.State.String(), DeadlineTime: instant(f.Deadline)}
	if f.Item.Path != "" {
		j.Path, j.Kind, j.SizeBytes, j.Interaction = f.Item.Path, f.Item.Kind.String(), f.Item.Digest.SizeBytes, f.Item.Interaction
		j.RecordedTime, j.SHA256 = instant(f.Item.RecordedAt), hex.EncodeToString(f.Item.Digest.SHA256[:])
	}
	if f.Sound >= 0 {
		s := seconds(f.Sound)
		j.AudioSeconds = &s
	}
	if c := f.Cause; c.Class != "" {
		j.Cause = &causeJSON{State: c.State.String(), Class: c.Class, Party: c.Party, Code: c.Code, Message: c.Message}
	}
	return j
}
