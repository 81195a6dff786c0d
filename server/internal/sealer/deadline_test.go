package sealer_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/servertest"
)

const (
	santiago = "America/Santiago" // 2026: back on April 5 at 00:00, forward on September 6 at 00:00
	madrid   = "Europe/Madrid"    // 2026: forward on March 29 at 02:00, back on October 25 at 03:00
)

// kinds are in the order in which [deadlineTests] has their deadlines: 30, 15, 10 and 10 days.
var kinds = [...]backup.StorageKind{backup.StorageWolkvox, backup.StorageRSYNC, backup.StorageAzblob, backup.StorageS3}

// deadlineTests are nights and when they are sealed. The deadlines were found without this module's code, by asking
// the database of zones for every minute which date clocks show.
var deadlineTests = []struct {
	name, zone, night, sealed string
	scheduled                 bool
	deadlines                 [len(kinds)]string
}{
	{"on demand the same day", bogota, "2026-03-10", "2026-03-10T17:00:00Z", false,
		[...]string{"2026-04-10T05:00:00Z", "2026-03-26T05:00:00Z", "2026-03-21T05:00:00Z", "2026-03-21T05:00:00Z"}},
	{"at the cut-off", bogota, "2026-03-10", "2026-03-11T05:00:00Z", true,
		[...]string{"2026-04-11T05:00:00Z", "2026-03-27T05:00:00Z", "2026-03-22T05:00:00Z", "2026-03-22T05:00:00Z"}},
	{"nine days late, before midnight", bogota, "2026-03-10", "2026-03-20T04:50:00Z", false,
		[...]string{"2026-04-19T05:00:00Z", "2026-04-04T05:00:00Z", "2026-03-30T05:00:00Z", "2026-03-30T05:00:00Z"}},
	{"nine days late, at midnight", bogota, "2026-03-10", "2026-03-20T05:00:00Z", true,
		[...]string{"2026-04-20T05:00:00Z", "2026-04-05T05:00:00Z", "2026-03-31T05:00:00Z", "2026-03-31T05:00:00Z"}},

	{"30 days to the missing midnight", santiago, "2026-08-06", "2026-08-06T16:00:00Z", false,
		[...]string{"2026-09-06T04:00:00Z", "2026-08-22T04:00:00Z", "2026-08-17T04:00:00Z", "2026-08-17T04:00:00Z"}},
	{"15 days to the missing midnight", santiago, "2026-08-21", "2026-08-21T16:00:00Z", false,
		[...]string{"2026-09-21T03:00:00Z", "2026-09-06T04:00:00Z", "2026-09-01T04:00:00Z", "2026-09-01T04:00:00Z"}},
	{"10 days to the missing midnight", santiago, "2026-08-26", "2026-08-26T16:00:00Z", false,
		[...]string{"2026-09-26T03:00:00Z", "2026-09-11T03:00:00Z", "2026-09-06T04:00:00Z", "2026-09-06T04:00:00Z"}},
	{"late, 10 days to the missing midnight", santiago, "2026-08-20", "2026-08-27T03:50:00Z", false,
		[...]string{"2026-09-26T03:00:00Z", "2026-09-11T03:00:00Z", "2026-09-06T04:00:00Z", "2026-09-06T04:00:00Z"}},
	{"at a cut-off that does not exist", santiago, "2026-09-05", "2026-09-06T04:00:00Z", true,
		[...]string{"2026-10-07T03:00:00Z", "2026-09-22T03:00:00Z", "2026-09-17T03:00:00Z", "2026-09-17T03:00:00Z"}},
	{"30 days to the end of the long day", santiago, "2026-03-05", "2026-03-05T15:00:00Z", false,
		[...]string{"2026-04-05T04:00:00Z", "2026-03-21T03:00:00Z", "2026-03-16T03:00:00Z", "2026-03-16T03:00:00Z"}},
	{"15 days to the end of the long day", santiago, "2026-03-20", "2026-03-20T15:00:00Z", false,
		[...]string{"2026-04-20T04:00:00Z", "2026-04-05T04:00:00Z", "2026-03-31T03:00:00Z", "2026-03-31T03:00:00Z"}},
	{"late, 10 days to the end of the long day", santiago, "2026-03-20", "2026-03-26T02:50:00Z", false,
		[...]string{"2026-04-25T04:00:00Z", "2026-04-10T04:00:00Z", "2026-04-05T04:00:00Z", "2026-04-05T04:00:00Z"}},
	{"at the cut-off after the long day", santiago, "2026-04-04", "2026-04-05T04:00:00Z", true,
		[...]string{"2026-05-06T04:00:00Z", "2026-04-21T04:00:00Z", "2026-04-16T04:00:00Z", "2026-04-16T04:00:00Z"}},

	{"30 days to the end of the short day", madrid, "2026-02-27", "2026-02-27T11:00:00Z", false,
		[...]string{"2026-03-29T22:00:00Z", "2026-03-14T23:00:00Z", "2026-03-09T23:00:00Z", "2026-03-09T23:00:00Z"}},
	{"15 days to the end of the short day", madrid, "2026-03-14", "2026-03-14T11:00:00Z", false,
		[...]string{"2026-04-13T22:00:00Z", "2026-03-29T22:00:00Z", "2026-03-24T23:00:00Z", "2026-03-24T23:00:00Z"}},
	{"late, 10 days to the end of the short day", madrid, "2026-03-10", "2026-03-19T22:50:00Z", false,
		[...]string{"2026-04-18T22:00:00Z", "2026-04-03T22:00:00Z", "2026-03-29T22:00:00Z", "2026-03-29T22:00:00Z"}},
	{"late, at the cut-off, 10 days to after the short day", madrid, "2026-03-10", "2026-03-19T23:00:00Z", true,
		[...]string{"2026-04-19T22:00:00Z", "2026-04-04T22:00:00Z", "2026-03-30T22:00:00Z", "2026-03-30T22:00:00Z"}},
	{"30 days to the end of the long day", madrid, "2026-09-25", "2026-09-25T10:00:00Z", false,
		[...]string{"2026-10-25T23:00:00Z", "2026-10-10T22:00:00Z", "2026-10-05T22:00:00Z", "2026-10-05T22:00:00Z"}},
	{"15 days to the end of the long day", madrid, "2026-10-10", "2026-10-10T10:00:00Z", false,
		[...]string{"2026-11-09T23:00:00Z", "2026-10-25T23:00:00Z", "2026-10-20T22:00:00Z", "2026-10-20T22:00:00Z"}},
	{"late, 10 days to before the long day", madrid, "2026-10-10", "2026-10-14T21:50:00Z", false,
		[...]string{"2026-11-13T23:00:00Z", "2026-10-29T23:00:00Z", "2026-10-24T22:00:00Z", "2026-10-24T22:00:00Z"}},
	{"late, at the cut-off, 10 days to the end of the long day", madrid, "2026-10-10", "2026-10-14T22:00:00Z", true,
		[...]string{"2026-11-14T23:00:00Z", "2026-10-30T23:00:00Z", "2026-10-25T23:00:00Z", "2026-10-25T23:00:00Z"}},
}

// TestDeadlines seals nights for destinations of all kinds and goes to the boundaries of their deadlines: with an agent
// that is heard, and with one that is not.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	for _, test := range deadlineTests {
		t.Run(test.zone+"/"+test.name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, test.sealed)
			if err != nil {
				t.Fatal(err)
			}
			s := servertest.New(t, test.zone, backup.StorageRSYNC, at.Add(-3*servertest.Quiet))
			var heard, silent [len(kinds)]*party
			for i, kind := range kinds {
				heard[i] = newParty(t, s, kind, "heard")
				silent[i] = newParty(t, s, kind, "silent")
			}
			sealNight(t, s, test.night, test.scheduled, at)
			for i, kind := range kinds {
				t.Run(kind.String(), func(t *testing.T) {
					for _, p := range []*party{heard[i], silent[i]} {
						if got := p.sealed(t).Deadline.Format(time.RFC3339); got != test.deadlines[i] {
							t.Fatalf("the deadline sealed is %s, want %s", got, test.deadlines[i])
						}
						p.deliver(t, 0)
						p.checkCounts(t, ledger.Counts{backup.Confirmed: 1, backup.Pending: 2})
					}
					heard[i].closeWhenHeard(t)
					silent[i].closeWithoutHearing(t)
					for _, p := range []*party{heard[i], silent[i]} {
						p.checkClosed(t)
						p.deliver(t, 2)
						p.checkCounts(t, ledger.Counts{backup.Confirmed: 2, backup.Expired: 1})
						p.checkLedger(t)
					}
				})
			}
		})
	}
}

// sealNight seals three recordings of a night for all destinations at the instant at, as their manifest 1. Where at is the
// night's own cut-off, it must not be sealed a second earlier.
func sealNight(t *testing.T, s *servertest.Server, night string, scheduled bool, at time.Time) {
	t.Helper()
	tenant, err := s.Registry.Tenant(servertest.Tenant)
	s.Must(err)
	zone, err := tenant.Location()
	s.Must(err)
	date, err := backup.ParseDate(night)
	s.Must(err)
	recorded := at.Add(-time.Hour)
	if last := date.EndIn(zone).Add(-time.Second); recorded.After(last) {
		recorded = last
	}
	for _, name := range []string{"a.gsm", "b.gsm", "c.gsm"} {
		s.Write(name, name, recorded)
	}
	if scheduled && date.AddDays(1) == backup.DateOf(at.In(zone)) {
		s.Look(true, at.Add(-time.Second))
		if last := s.Sequencer().Last(); last != 0 {
			t.Fatalf("a second before the cut-off %d manifests are sealed", last)
		}
	}
	s.Look(scheduled, at)
	if m, _ := s.Sequencer().Manifest(1); m.Night != date || m.Items != 3 {
		t.Fatalf("manifest 1 has %d items of the night %s, want 3 of %s", m.Items, m.Night, date)
	}
}

// party is a destination and its agent.
type party struct {
	seq    *sequencer.Sequencer
	key    *ledger.SigningKey
	last   []byte // its last receipt
	number int64  // of that
}

func newParty(t *testing.T, s *servertest.Server, kind backup.StorageKind, name string) *party {
	t.Helper()
	origin := s.AddDestination(kind.String()+"-"+name, kind)
	seq, _ := s.Sequencers.Of(origin)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	s.Must(err)
	key, err := ledger.NewSigningKey(origin.AgentKeyName(servertest.Agent), private)
	s.Must(err)
	request, err := ledger.SignRequest(origin, key)
	s.Must(err)
	s.Must(seq.Assign(context.Background(), request, "", noon))
	return &party{seq: seq, key: key}
}

// deliver has the agent sign for one item of manifest 1.
func (p *party) deliver(t *testing.T, index int64) {
	t.Helper()
	m, _ := p.seq.Manifest(1)
	receipt := ledger.Receipt{
		Manifest: 1, Root: m.Root, Number: p.number + 1, Indexes: ledger.NewSet(ledger.Range{First: index, Last: index}),
	}
	if p.last != nil {
		receipt.Previous = sha256.Sum256(p.last)
	}
	leaf, err := ledger.Sign(ledger.Entry{Origin: p.seq.Origin(), Time: noon, Body: ledger.Delivered{
		Receipt: receipt, Method: backup.ReadbackCached, Brought: ledger.BroughtAutomatic,
	}}, p.key)
	if err != nil {
		t.Fatal(err)
	}
	session, err := p.seq.OpenSession([16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := p.seq.SubmitReceipts(t.Context(), session, [][]byte{leaf})
	if err != nil || verdicts[0] != sequencer.OK {
		t.Fatalf("receipt %d: verdicts %v, %v", receipt.Number, verdicts, err)
	}
	p.last, p.number = leaf, receipt.Number
}

// closes has the server close what is due, and makes sure that this is manifest 1, or is not.
func (p *party) closes(t *testing.T, when string, at time.Time, uptime time.Duration, want bool) {
	t.Helper()
	closed, err := p.seq.Close(t.Context(), at, uptime)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Contains(closed, 1); got != want {
		t.Fatalf("%s: closed is %v, want %v", when, got, want)
	}
}

func (p *party) closeWhenHeard(t *testing.T) {
	t.Helper()
	const moment = time.Minute // the server has just started
	deadline := p.sealed(t).Deadline
	p.heard(t, deadline.Add(-time.Second))
	p.closes(t, "a second before, heard", deadline.Add(-time.Second), moment, false)
	p.heard(t, deadline)
	p.closes(t, "at the deadline, heard at the deadline", deadline, moment, false)
	p.closes(t, "a second after, heard at the deadline", deadline.Add(time.Second), moment, false)
	p.heard(t, deadline.Add(time.Second))
	p.closes(t, "heard after the deadline, by a clock that was set back before it", deadline.Add(-time.Second), moment, false)
	p.closes(t, "heard after the deadline", deadline, moment, true)
	p.closes(t, "closed before", deadline.Add(time.Hour), moment, false)
}

func (p *party) closeWithoutHearing(t *testing.T) {
	t.Helper()
	const long, day = 1000 * time.Hour, 24 * time.Hour
	deadline := p.sealed(t).Deadline
	p.closes(t, "a second before", deadline.Add(-time.Second), long-time.Second, false)
	p.closes(t, "at the deadline", deadline, long, false)
	p.closes(t, "not quite 24 hours after", deadline.Add(day-time.Second), long+day-time.Second, false)
	p.closes(t, "not quite 24 hours after, with the clock set forward by weeks", deadline.Add(long), long+day-time.Second, false)
	p.closes(t, "24 hours after, up since the deadline", deadline.Add(day), long+day, true)
}

// heard has the server hear the agent, in its current session.
func (p *party) heard(t *testing.T, echoed time.Time) {
	t.Helper()
	session, err := p.seq.OpenSession([16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	p.seq.Heard(servertest.Agent, session, echoed, echoed.Add(time.Second))
}

// body returns the body of the last entry of a type.
func body[B ledger.Body](t *testing.T, p *party, of func(B) bool) (found B) {
	t.Helper()
	size, _ := p.seq.Ledger().Position()
	for leaf, err := range p.seq.Ledger().Entries(0, size) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if b, ok := e.Body.(B); ok && of(b) {
			found = b
		}
	}
	return found
}

// sealed returns what the log's entry says of manifest 1.
func (p *party) sealed(t *testing.T) ledger.Sealed {
	t.Helper()
	return body(t, p, func(b ledger.Sealed) bool { return b.Manifest == 1 })
}

// checkClosed makes sure that the entry that closed manifest 1 says what became of it, and that its items are in these
// states.
func (p *party) checkClosed(t *testing.T) {
	t.Helper()
	want := ledger.Counts{backup.Confirmed: 1, backup.Expired: 2}
	closed := body(t, p, func(b ledger.Closed) bool { return b.Manifest == 1 })
	if diff := cmp.Diff(want, closed.Counts); diff != "" {
		t.Errorf("counts of the closed (-want +got):\n%s", diff)
	}
	p.checkCounts(t, want)
	for index, want := range []backup.State{backup.Confirmed, backup.Expired, backup.Expired} {
		if got, err := p.seq.Ledger().StateOf(1, int64(index)); err != nil || got != want {
			t.Errorf("item %d is %v, %v, want %v", index, got, err, want)
		}
	}
}

func (p *party) checkCounts(t *testing.T, want ledger.Counts) {
	t.Helper()
	got, err := p.seq.Ledger().Counts(1)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("counts (-want +got): %v\n%s", err, diff)
	}
}

// checkLedger folds the log from nothing.
func (p *party) checkLedger(t *testing.T) {
	t.Helper()
	report, err := p.seq.Ledger().Verify(t.Context())
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("the ledger: %v, problems %s", err, fmt.Sprint(report.Problems))
	}
}
