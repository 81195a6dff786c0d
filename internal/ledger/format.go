package ledger

import "github.com/wolkvox/backup"

const (
	entryPrefix   = "wolkvox-backup entry "
	requestPrefix = "wolkvox-backup request assign v1"
	none          = "-"
)

// appendText writes the text of the entry, without signatures.
func (e Entry) appendText(b []byte) []byte {
	b = append(append(append(b, entryPrefix...), e.Body.Kind().String()...), " v1\n"...)
	b = appendField(b, "origin", string(e.Origin))
	b = appendTimeField(b, "time", e.Time)
	return e.Body.appendText(b)
}

func (g Genesis) appendText(b []byte) []byte {
	b = appendField(b, "storage", g.Storage.String())
	b = appendDecimalField(b, "window-days", int64(g.WindowDays))
	b = appendField(b, "server-key", string(g.ServerKey))
	if g.Previous == nil {
		return appendField(b, "previous", none)
	}
	b = append(append(b, "previous "...), g.Previous.Origin...)
	b = append(appendDecimal(append(b, ' '), g.Previous.Size), ' ')
	return append(appendHash(b, g.Previous.Root), '\n')
}

func (a Assigned) appendText(b []byte) []byte {
	return append(append(b, "request\n"...), a.Request.Note...)
}

func (r Rekeyed) appendText(b []byte) []byte {
	return appendField(appendField(b, "old-key", string(r.OldKey)), "new-key", string(r.NewKey))
}

func (s Sealed) appendText(b []byte) []byte {
	b = appendHashField(appendDecimalField(b, "manifest", s.Manifest), "root", s.Root)
	b = appendField(b, "night", s.Night.String())
	b = appendDecimalField(b, "items", s.Items)
	b = appendDecimalField(b, "bytes", s.Bytes)
	if s.Interactions == nil {
		b = appendField(b, "interactions", none)
	} else {
		b = appendDecimalField(b, "interactions", *s.Interactions)
	}
	b = append(b, "unrecorded "...)
	if len(s.Unrecorded) == 0 {
		b = append(b, none...)
	}
	for i, u := range s.Unrecorded {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDecimal(append(append(b, u.Reason...), ':'), u.Count)
	}
	b = appendTimeField(append(b, '\n'), "deadline", s.Deadline)
	if s.SourceKeptUntil.IsZero() {
		return appendField(b, "source-kept-until", none)
	}
	return appendTimeField(b, "source-kept-until", s.SourceKeptUntil)
}

// closedStates are the states whose counts stand in closed, in their order there.
var closedStates = [...]backup.State{
	backup.Confirmed, backup.Expired, backup.Waived, backup.Released, backup.Withdrawn, backup.Forgotten,
}

func (c Closed) appendText(b []byte) []byte {
	b = appendHashField(appendDecimalField(b, "manifest", c.Manifest), "root", c.Root)
	for _, s := range closedStates {
		b = appendDecimalField(b, s.String(), c.Counts[s])
	}
	return b
}

func (x Extended) appendText(b []byte) []byte {
	b = appendHashField(appendDecimalField(b, "manifest", x.Manifest), "root", x.Root)
	return appendField(appendTimeField(b, "deadline", x.Deadline), "reason", x.Reason)
}

func (w Withdrawn) appendText(b []byte) []byte {
	b = appendHashField(appendDecimalField(b, "manifest", w.Manifest), "root", w.Root)
	b = appendField(appendIndexes(b, w.Indexes), "reason", w.Reason)
	if w.Replacement == 0 {
		return appendField(b, "replacement", none)
	}
	return appendDecimalField(b, "replacement", w.Replacement)
}

func (f Forgotten) appendText(b []byte) []byte {
	b = appendHashField(appendDecimalField(b, "manifest", f.Manifest), "root", f.Root)
	return appendIndexes(b, f.Indexes)
}

func (r Retired) appendText(b []byte) []byte { return appendField(b, "reason", r.Reason) }

func (r Receipt) appendText(b []byte) []byte {
	b = appendHashField(appendDecimalField(b, "manifest", r.Manifest), "root", r.Root)
	b = appendDecimalField(b, "number", r.Number)
	if r.Number == 1 && r.Previous == ([32]byte{}) {
		b = appendField(b, "previous", none)
	} else {
		b = appendHashField(b, "previous", r.Previous)
	}
	return appendIndexes(b, r.Indexes)
}

func (d Delivered) appendText(b []byte) []byte {
	b = appendField(d.Receipt.appendText(b), "method", string(d.Method))
	return appendField(b, "brought", d.Brought)
}

func (l Lost) appendText(b []byte) []byte {
	return appendField(l.Receipt.appendText(b), "finding", l.Finding)
}

func (w Waived) appendText(b []byte) []byte {
	return appendField(w.Receipt.appendText(b), "reason", w.Reason)
}

func (r Released) appendText(b []byte) []byte {
	return appendField(r.Receipt.appendText(b), "reason", r.Reason)
}

func (e Erased) appendText(b []byte) []byte {
	return appendField(e.Receipt.appendText(b), "outcome", e.Outcome)
}

func appendIndexes(b []byte, set Set) []byte {
	return append(set.appendText(append(b, "indexes "...)), '\n')
}
