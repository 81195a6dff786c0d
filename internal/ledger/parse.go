package ledger

import (
	"bytes"
	"strings"

	"github.com/wolkvox/backup"
)

// ParseEntry reads the exact bytes of an entry. It checks the text form and the form of the signature lines;
// whether the signatures are those of the entry's kind, and valid, is for [Log.Check] to say. The error is a
// [*RefusedError] with LIMIT, TEXT or VERSION.
func ParseEntry(leaf []byte) (Entry, error) {
	e, _, refused := parseEntry(leaf)
	if refused != nil {
		return Entry{}, refused
	}
	return e, nil
}

func parseEntry(leaf []byte) (Entry, note, *RefusedError) {
	if len(leaf) > MaxEntryBytes {
		return Entry{}, note{}, refuse(ReasonLimit, "the entry has %d bytes, more than %d", len(leaf), MaxEntryBytes)
	}
	n, refused := parseNote(leaf)
	if refused != nil {
		return Entry{}, note{}, refused
	}
	e, refused := parseEntryText(n.text)
	return e, n, refused
}

func parseEntryText(text []byte) (Entry, *RefusedError) {
	f := &fields{rest: string(text)}
	kind, refused := parseFirstLine(f.line())
	if refused != nil {
		return Entry{}, refused
	}
	e := Entry{Origin: f.origin("origin"), Time: f.time("time")}
	e.Body = f.body(kind, e.Origin)
	f.end()
	switch {
	case f.refused != nil:
		return Entry{}, f.refused
	case !bytes.Equal(e.appendText(make([]byte, 0, len(text))), text):
		return Entry{}, refuse(ReasonText, "the text is not canonical: formatting what it says gives other bytes")
	case f.limit != nil:
		return Entry{}, f.limit
	}
	return e, nil
}

func parseFirstLine(line string) (Kind, *RefusedError) {
	rest, ok := strings.CutPrefix(line, entryPrefix)
	word, version, ok2 := strings.Cut(rest, " v")
	n, ok3 := readDecimal(version)
	if !ok || !ok2 || !ok3 || n < 1 || !isCode(word) {
		return 0, refuse(ReasonText, "the first line is %.80q instead of %sKIND v1", line, entryPrefix)
	}
	kind, ok := readKind(word)
	if !ok || n != 1 {
		return 0, refuse(ReasonVersion, "entries %s v%d are not known here", word, n)
	}
	return kind, nil
}

// body takes the lines after origin and time.
func (f *fields) body(kind Kind, origin Origin) Body {
	switch kind {
	case KindGenesis:
		return f.genesis(origin)
	case KindAssigned:
		return f.assigned(origin)
	case KindRekeyed:
		return f.rekeyed(origin)
	case KindSealed:
		return f.sealed()
	case KindDelivered:
		d := Delivered{Receipt: f.receipt()}
		method, err := ParseMethod(f.value("method"))
		if err != nil {
			f.fail("method: %v", err)
		}
		d.Method = method
		d.Brought = f.oneOf("brought", BroughtAutomatic, BroughtByHand)
		return d
	case KindLost:
		return Lost{f.receipt(), f.oneOf("finding", LostMissing, LostAltered)}
	case KindWaived:
		return Waived{f.receipt(), f.oneOf("reason", WaivedDeclined, WaivedNotNeeded, WaivedKeptElsewhere)}
	case KindReleased:
		return Released{f.receipt(), f.oneOf("reason", ReleasedRetention, ReleasedCommand)}
	case KindErased:
		return Erased{f.receipt(),
			f.oneOf("outcome", ErasedDeleted, ErasedAbsent, ErasedImmutable, ErasedNoConsent, ErasedFailed)}
	case KindClosed:
		c := Closed{Manifest: f.decimal("manifest", 1), Root: f.hash("root")}
		for _, s := range closedStates {
			c.Counts[s] = f.decimal(s.String(), 0)
		}
		return c
	case KindExtended:
		return Extended{f.decimal("manifest", 1), f.hash("root"), f.time("deadline"),
			f.oneOf("reason", ExtendedOutage, ExtendedCourtesy)}
	case KindWithdrawn:
		w := Withdrawn{Manifest: f.decimal("manifest", 1), Root: f.hash("root"), Indexes: f.indexes()}
		w.Reason = f.oneOf("reason", WithdrawnChanged, WithdrawnDamaged, WithdrawnLost, WithdrawnName, WithdrawnError)
		w.Replacement = f.optionalDecimal("replacement", 1)
		return w
	case KindForgotten:
		return Forgotten{f.decimal("manifest", 1), f.hash("root"), f.indexes()}
	default:
		return Retired{f.oneOf("reason", RetiredEnded, RetiredMoved, RetiredTailLost)}
	}
}

// optionalDecimal takes a decimal, or "-" for 0.
func (f *fields) optionalDecimal(key string, least int64) int64 {
	if strings.HasPrefix(f.rest, key+" -\n") {
		f.line()
		return 0
	}
	return f.decimal(key, least)
}

func (f *fields) receipt() Receipt {
	r := Receipt{Manifest: f.decimal("manifest", 1), Root: f.hash("root"), Number: f.decimal("number", 1)}
	if r.Number == 1 {
		f.oneOf("previous", none)
	} else {
		r.Previous = f.hash("previous")
	}
	r.Indexes = f.indexes()
	return r
}

func (f *fields) genesis(origin Origin) Genesis {
	storage, err := backup.ParseStorageKind(f.value("storage"))
	if err != nil {
		f.fail("storage: %v", err)
	}
	g := Genesis{Storage: storage}
	days := f.decimal("window-days", 1)
	if days > MaxWindowDays {
		f.fail("window-days is %d, more than %d", days, MaxWindowDays)
	}
	g.WindowDays = int(days)
	g.ServerKey = f.serverKey("server-key", origin)
	if previous := f.value("previous"); previous != none {
		g.Previous = f.knownHead(previous, origin)
	}
	return g
}

func (f *fields) knownHead(s string, continued Origin) *KnownHead {
	name, rest, _ := strings.Cut(s, " ")
	size, root, _ := strings.Cut(rest, " ")
	origin, err := ParseOrigin(name)
	n, ok := readDecimal(size)
	hash, ok2 := readHash(root)
	if err != nil || !ok || n < 1 || !ok2 {
		f.fail("previous is %.300q instead of ORIGIN SIZE ROOT", s)
		return nil
	}
	if origin.Tenant() != continued.Tenant() || origin.Destination() != continued.Destination() || origin == continued {
		f.fail("previous is the log %s, which is not another log of the same destination", origin)
	}
	return &KnownHead{origin, n, hash}
}

// serverKey takes a verifier that has the origin as its name.
func (f *fields) serverKey(key string, origin Origin) Verifier {
	v := f.verifier(key)
	if v.Name() != string(origin) {
		f.fail("%s has the name %.200q instead of the origin", key, v.Name())
	}
	return v
}

func (f *fields) assigned(origin Origin) Assigned {
	if line := f.line(); line != "request" {
		f.fail("%.80q stands where request was expected", line)
	}
	if f.refused != nil {
		return Assigned{}
	}
	r, _, refused := parseRequest([]byte(f.rest))
	switch {
	case refused != nil:
		f.fail("request: %s", refused.Detail)
	case r.Origin != origin:
		f.fail("the request is for the log %s", r.Origin)
	}
	f.rest = ""
	return Assigned{r}
}

func (f *fields) rekeyed(origin Origin) Rekeyed {
	r := Rekeyed{f.serverKey("old-key", origin), f.serverKey("new-key", origin)}
	if r.OldKey == r.NewKey {
		f.fail("old-key and new-key are the same key")
	}
	return r
}

func (f *fields) sealed() Sealed {
	s := Sealed{Manifest: f.decimal("manifest", 1), Root: f.hash("root")}
	night, err := backup.ParseDate(f.value("night"))
	if err != nil {
		f.fail("night: %v", err)
	}
	s.Night = night
	s.Items = f.decimal("items", 0)
	s.Bytes = f.decimal("bytes", 0)
	if s.Items == 0 && (s.Bytes != 0 || s.Root != EmptyRoot()) {
		f.fail("a manifest without items has bytes, or another root than the empty tree")
	}
	if s.Items > MaxItems {
		f.limit = refuse(ReasonLimit, "the manifest has %d items, more than %d", s.Items, MaxItems)
	}
	var recorded int64
	if !strings.HasPrefix(f.rest, "interactions -\n") {
		recorded = f.decimal("interactions", 0)
		s.Interactions = &recorded
	} else {
		f.line()
	}
	s.Unrecorded = f.unrecorded(recorded)
	s.Deadline = f.time("deadline")
	if strings.HasPrefix(f.rest, "source-kept-until -\n") {
		f.line()
	} else {
		s.SourceKeptUntil = f.time("source-kept-until")
	}
	return s
}

// unrecorded takes the reasons for missing recordings, whose counts add up to no more than most.
func (f *fields) unrecorded(most int64) []UnrecordedCount {
	value := f.value("unrecorded")
	if value == none || f.refused != nil {
		return nil
	}
	var counts []UnrecordedCount
	previous, sum := "", int64(0)
	for part := range strings.SplitSeq(value, ",") {
		code, count, _ := strings.Cut(part, ":")
		n, ok := readDecimal(count)
		sum += n
		if !ok || n < 1 || !isCode(code) || code <= previous || sum > most {
			f.fail("unrecorded: %.80q is no CODE:COUNT, or out of order, or more than there are interactions", part)
			return nil
		}
		counts = append(counts, UnrecordedCount{code, n})
		previous = code
	}
	return counts
}
