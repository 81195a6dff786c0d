package report

import (
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fault"
)

// words are what a report says in one language. In sentences {n} is a count, {m} another one, {date}, {days} and {why} what
// they say; a pair has the form for one first.
type words struct {
	title, period, made, zone, place, agreed, nothingAgreed, entries, silence, language      string
	findings, plotItems, plotSound, causes, unrecorded, nights, files, meaning, total, other string

	night, expected, size, sound, withoutRecording, cause, party, code, recordings, reason, count string
	name, kind, recorded, interaction, duration, state, until, whole, none, nothing               string

	states    map[backup.State]string
	one       map[backup.State]string // of one recording, where that is another word
	standings map[Standing]string
	classes   map[string]string
	parties   map[string]string
	reasons   map[string]string
	weekdays  [7]string // from Sunday
	months    [12]string

	allConfirmed, someConfirmed, noneExpected, expired, pending [2]string
	notSealed, notHeard, empty, unmeasured, interactions        [2]string
	replaced, days                                              [2]string
	today, passed, most, measuredOnly, erased, noFault          string

	meanings [][2]string // of the words of the table
}

func wordsOf(l fault.Language) words {
	if l == fault.Spanish {
		return spanish()
	}
	return english()
}

// say fills in what a sentence leaves open: names and values in turn.
func say(sentence string, values ...string) string {
	return strings.NewReplacer(values...).Replace(sentence)
}

// among returns the form of a pair for a count.
func among(pair [2]string, count int64) string {
	if count == 1 {
		return pair[0]
	}
	return pair[1]
}

// or returns the word for a code, or the code itself where there is none.
func or(of map[string]string, code string) string {
	if w, ok := of[code]; ok {
		return w
	}
	return code
}

func english() words {
	return words{
		title: "Backup report", period: "Nights", made: "Made", zone: "Time zone", place: "Destination", agreed: "Ledger that both sides signed",
		nothingAgreed: "nothing was signed by both sides yet", entries: "entries, root", language: "en",
		silence:  "The agent does not know what wolkvox has sealed lately: {why}",
		findings: "In short", plotItems: "Recordings per night", plotSound: "Hours of audio per night", causes: "Why recordings are not confirmed",
		unrecorded: "Interactions without a recording", nights: "Night by night", files: "Recordings", meaning: "What the words mean", total: "Total", other: "Other",
		night: "Night", expected: "Expected", size: "Size", sound: "Audio", withoutRecording: "Not recorded", cause: "Cause", party: "Whose matter",
		code: "Code", recordings: "Recordings", reason: "Reason", count: "Interactions",
		name: "Name", kind: "Kind", recorded: "Recorded", interaction: "Interaction", duration: "Length", state: "State", until: "until",
		whole: "of", none: "–", nothing: "No recordings in this period.",
		states: map[backup.State]string{backup.Pending: "Pending", backup.Confirmed: "Confirmed", backup.Expired: "Expired", backup.Waived: "Waived",
			backup.Released: "Released", backup.Withdrawn: "Withdrawn", backup.Forgotten: "Erased"},
		standings: map[Standing]string{Empty: "no recordings; wolkvox sealed an empty night", NotSealed: "not sealed: ask wolkvox",
			Unknown: "not heard from wolkvox", NotDue: "not due yet", Before: "before this destination began", Ended: "after this destination ended"},
		classes: map[string]string{
			fault.ClassBilling: "Account not paid", fault.ClassCredential: "Login refused", fault.ClassPermission: "Not permitted", fault.ClassClock: "Clocks differ",
			fault.ClassThrottle: "Too many requests", fault.ClassCapacity: "Destination full", fault.ClassQuota: "Quota used up", fault.ClassDestLost: "Destination gone",
			fault.ClassDestConfig: "Destination unsuitable", fault.ClassImmutable: "May not be changed", fault.ClassIntegrity: "Contents differ", fault.ClassName: "Name not possible",
			fault.ClassNetwork: "Network", fault.ClassTransient: "Passing trouble", fault.ClassSource: "Source unreadable", fault.ClassClientBug: "Fault of the agent",
			fault.ClassLocal: "Agent's own machine", fault.ClassOther: "Other",
		},
		parties: map[string]string{fault.PartyClient: "client", fault.PartyCloudProvider: "cloud provider", fault.PartyNetwork: "network", fault.PartyWolkvox: "wolkvox"},
		reasons: map[string]string{"abandoned": "Caller hung up", "not-answered": "Not answered", "not-recorded": "Recording was off", "failed": "Recording failed",
			"other": "Other", "missing": "File was missing", "differs": "File differs from what was announced"},
		weekdays:      [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
		months:        [12]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
		allConfirmed:  [2]string{"The one recording that was expected is confirmed.", "All {n} recordings that were expected are confirmed."},
		someConfirmed: [2]string{"{n} of {m} recordings that were expected is confirmed ({share}).", "{n} of {m} recordings that were expected are confirmed ({share})."},
		noneExpected:  [2]string{"No recordings were expected.", "No recordings were expected."},
		expired: [2]string{"{n} recording expired: it was not copied in time and has to be moved by hand.",
			"{n} recordings expired: they were not copied in time and have to be moved by hand."},
		pending: [2]string{"{n} recording is pending; it is tried until {date} ({days}).",
			"{n} recordings are pending; the first of them is tried until {date} ({days})."},
		notSealed:    [2]string{"{n} night was not sealed. That is no quiet night: ask wolkvox what happened.", "{n} nights were not sealed. Those are no quiet nights: ask wolkvox what happened."},
		notHeard:     [2]string{"Of {n} night nothing was heard from wolkvox yet.", "Of {n} nights nothing was heard from wolkvox yet."},
		empty:        [2]string{"{n} night had no recordings, and wolkvox signed that.", "{n} nights had no recordings, and wolkvox signed that."},
		unmeasured:   [2]string{"Of {n} recording the length is not known; the hours are without it.", "Of {n} recordings the length is not known; the hours are without them."},
		interactions: [2]string{"{n} of {m} interactions has no recording.", "{n} of {m} interactions have no recording."},
		replaced:     [2]string{"{n} replaced", "{n} replaced"}, days: [2]string{"{n} day left", "{n} days left"},
		today: "less than a day left", passed: "the time has passed", most: "highest {n}", measuredOnly: "without {n}", erased: "erased by legal order",
		noFault: "No fault on record",
		meanings: [][2]string{
			{"Expected", "what wolkvox sealed for these nights, less what it withdrew."},
			{"Confirmed", "at the destination, and compared there with what wolkvox recorded; the ledger has a signed receipt for it."},
			{"Pending", "not at the destination yet; tried again every night until the day shown."},
			{"Expired", "not copied before that day; the client moves it by hand."},
			{"Waived", "the client declined it."},
			{"Released", "was confirmed, and then removed by the client's own retention."},
			{"Erased", "deleted by a legal order."},
			{"Withdrawn", "taken back by wolkvox; a replacement, if there is one, is counted in its own right."},
			{"Not recorded", "interactions of the night that never had a recording."},
			{"Audio", "counted from the frames of the sound, not from what a file says of itself."},
		},
	}
}
