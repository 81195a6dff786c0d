package outage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/outage"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/servertest"
)

const day = 24 * time.Hour

var start = time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)

type rig struct {
	*servertest.Server
	t       *testing.T
	outages *outage.Outages
}

// newRig makes a server with the destinations nas and s3, each with manifests sealed on the days 0, 5 and 20, with deadlines
// ten days later.
func newRig(t *testing.T) *rig {
	t.Helper()
	s := servertest.New(t, "UTC", backup.StorageRSYNC, start)
	r := &rig{s, t, &outage.Outages{Registry: s.Registry, Sequencers: s.Sequencers, Logger: slog.New(slog.DiscardHandler)}}
	for _, origin := range []ledger.Origin{s.Origin, s.AddDestination("s3", backup.StorageS3)} {
		seq, _ := s.Sequencers.Of(origin)
		for i, after := range []time.Duration{0, 5 * day, 20 * day} {
			r.seal(seq, int64(i+1), start.Add(after))
		}
	}
	return r
}

func (r *rig) seal(seq *sequencer.Sequencer, number int64, at time.Time) {
	r.t.Helper()
	w, err := seq.Ledger().StageManifest(number)
	r.Must(err)
	for i := range 3 {
		line, err := ledger.FormatLine(backup.Item{
			Path: fmt.Sprintf("%d/%d.gsm", number, i), Kind: backup.KindGSM, Digest: backup.Digest{SHA256: sha256.Sum256(nil), SizeBytes: 1},
		})
		r.Must(err)
		r.Must(w.Add(line))
	}
	m := sequencer.Manifest{Number: number, Night: backup.DateOf(at), Deadline: at.Add(10 * day)}
	m.Root, m.Items, m.Bytes, err = w.Commit()
	r.Must(err)
	r.Must(seq.Seal(r.t.Context(), m, at))
}

// extend returns what was said, one word for each.
func (r *rig) extend(req outage.Request, at time.Time) string {
	r.t.Helper()
	extensions, err := r.outages.Extend(r.t.Context(), req, at)
	r.Must(err)
	var said []string
	for _, e := range extensions {
		word := fmt.Sprintf("%s/%d+%v", e.Destination, e.Manifest, e.New.Sub(e.Old))
		if e.Problem != "" {
			word = fmt.Sprintf("%s/%d!", e.Destination, e.Manifest)
		}
		said = append(said, word)
	}
	return strings.Join(said, " ")
}

func (r *rig) outage(from, until time.Time) registry.Outage {
	r.t.Helper()
	_, err := r.Registry.NotePresence(from)
	r.Must(err)
	r.Must(r.outages.Note(r.t.Context(), until))
	all, err := r.Registry.Outages(until)
	r.Must(err)
	return all[0]
}

// An outage moves what could have been copied during it, by its length and once, and is answered when nothing is left.
func TestExtendForAnOutage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	from, until := start.Add(12*day), start.Add(13*day) // manifest 1 was due before, manifest 3 was sealed after
	o := r.outage(from, until)
	count := func() int64 {
		t.Helper()
		n, err := r.outages.ManifestCount(t.Context(), o, until)
		r.Must(err)
		return n
	}
	answered := func() bool {
		t.Helper()
		now, err := r.Registry.Outage(o.Number)
		r.Must(err)
		return !now.AnsweredAt.IsZero()
	}
	const want = "nas/2+24h0m0s s3/2+24h0m0s"
	if got := r.extend(outage.Request{Outage: o, DryRun: true}, until); got != want || count() != 2 || answered() {
		t.Errorf("dry run: %s, %d, answered %v", got, count(), answered())
	}
	if m, _ := r.Sequencer().Manifest(2); !m.Deadline.Equal(start.Add(15 * day)) {
		t.Errorf("after the dry run the deadline is %v", m.Deadline)
	}
	if got := r.extend(outage.Request{Tenant: servertest.Tenant, Destination: servertest.Destination, Outage: o}, until); got != "nas/2+24h0m0s" || count() != 1 || answered() {
		t.Errorf("one destination: %s, %d, answered %v", got, count(), answered())
	}
	if got := r.extend(outage.Request{Outage: o}, until); got != "s3/2+24h0m0s" || count() != 0 || !answered() {
		t.Errorf("the fleet: %s, %d, answered %v", got, count(), answered())
	}
	if got := r.extend(outage.Request{Outage: o}, until); got != "" {
		t.Errorf("once more: %s", got)
	}
	m, _ := r.Sequencer().Manifest(2)
	if !m.Deadline.Equal(start.Add(16 * day)) {
		t.Errorf("the deadline is %v", m.Deadline)
	}
	for manifest := int64(1); manifest <= 3; manifest++ {
		named := outage.Request{Tenant: servertest.Tenant, Destination: servertest.Destination, Manifest: manifest, Outage: o}
		if got, want := r.extend(named, until), fmt.Sprintf("nas/%d!", manifest); got != want {
			t.Errorf("named: %s, want %s", got, want)
		}
	}
	// A crash after it was taken down, and before it was done: the same deadline, and not one beyond.
	second := r.outage(start.Add(15*day), start.Add(15*day+time.Hour))
	r.Must(r.Registry.NoteExtended(second.Number, r.Origin, []registry.ExtendedTo{{Manifest: 2, Deadline: start.Add(16*day + time.Minute)}}))
	named := outage.Request{Tenant: servertest.Tenant, Destination: servertest.Destination, Outage: second}
	if got := r.extend(named, until); got != "nas/2+1m0s" {
		t.Errorf("after a crash: %s", got)
	}
}

func TestExtendByALength(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	seq := r.Sequencer()
	late := start.Add(11 * day)
	_, err := seq.Close(t.Context(), late, 0)
	r.Must(err)
	closed, err := seq.Close(t.Context(), late.Add(day), day)
	r.Must(err)
	if fmt.Sprint(closed) != "[1]" {
		t.Fatalf("closed %v", closed)
	}
	at := late.Add(day)
	destination := outage.Request{Tenant: servertest.Tenant, Destination: servertest.Destination, By: 5 * day, Courtesy: true}
	closedToo, one, short, fleet := destination, destination, destination, destination
	closedToo.ClosedToo, one.Manifest, short.Manifest, short.ClosedToo, short.By = true, 1, 1, true, time.Hour
	fleet.Tenant, fleet.Destination = "", ""
	dry := func(req outage.Request) string { req.DryRun = true; return r.extend(req, at) }
	for _, test := range []struct{ name, got, want string }{
		{"open ones", dry(destination), "nas/2+120h0m0s nas/3+120h0m0s"},
		{"closed ones too", dry(closedToo), "nas/1+120h0m0s nas/2+120h0m0s nas/3+120h0m0s"},
		{"a closed one, not asked for", dry(one), "nas/1!"},
		{"one that would be over", dry(short), "nas/1!"},
		{"the fleet", dry(fleet), "nas/2+120h0m0s nas/3+120h0m0s s3/1+120h0m0s s3/2+120h0m0s s3/3+120h0m0s"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %s, want %s", test.name, test.got, test.want)
		}
	}
	closedToo.Manifest = 1
	if got := r.extend(closedToo, at); got != "nas/1+120h0m0s" {
		t.Errorf("opened again: %s", got)
	}
	if m, _ := seq.Manifest(1); !m.Open {
		t.Error("it is not open again")
	}
	if counts, err := seq.Ledger().Counts(1); err != nil || counts[backup.Pending] != 3 {
		t.Errorf("counts %v, %v", counts, err)
	}
	_, err = seq.Withdraw(t.Context(), sequencer.Withdrawal{Manifest: 2, Indexes: ledger.NewSet(ledger.Range{Last: 2}), Reason: ledger.WithdrawnLost}, at)
	r.Must(err)
	if got := dry(destination); got != "nas/1+120h0m0s nas/3+120h0m0s" {
		t.Errorf("without the one of which nothing is pending: %s", got)
	}
	r.Must(seq.Retire(t.Context(), ledger.RetiredEnded, at))
	if got := dry(fleet); got != "s3/1+120h0m0s s3/2+120h0m0s s3/3+120h0m0s" {
		t.Errorf("the fleet without what has ended: %s", got)
	}
	if got := dry(destination); got != "nas/1! nas/3!" {
		t.Errorf("what has ended: %s", got)
	}
}

// What was found is said in the log once, with how many manifests of the whole fleet it is about.
func TestProposal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var said bytes.Buffer
	r.outages.Logger = slog.New(slog.NewTextHandler(&said, nil))
	r.outage(start.Add(6*day), start.Add(7*day))
	r.Must(r.outages.Note(t.Context(), start.Add(7*day+time.Minute)))
	if got := said.String(); strings.Count(got, "decide whether to extend deadlines") != 1 || !strings.Contains(got, "manifests=4") {
		t.Errorf("it says %q", got)
	}
}

// Without a tenant the whole fleet is meant, and with one that alone.
func TestFleet(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tenant, err := r.Registry.Tenant(servertest.Tenant)
	r.Must(err)
	tenant.Name = "another"
	r.Must(r.Registry.CreateTenant(tenant))
	d, err := r.Registry.CreateDestination("another", "tape", backup.StorageRSYNC, start)
	r.Must(err)
	seq, err := r.Sequencers.Add(t.Context(), d, start)
	r.Must(err)
	r.seal(seq, 1, start)
	for tenant, want := range map[string]int{"": 7, servertest.Tenant: 6, "another": 1} {
		req := outage.Request{Tenant: tenant, By: 5 * day, Courtesy: true, DryRun: true}
		if got := len(strings.Fields(r.extend(req, start.Add(day)))); got != want {
			t.Errorf("of tenant %q %d manifests would be extended, want %d", tenant, got, want)
		}
		if !strings.Contains(r.extend(req, start.Add(day)), "tape/1+") != (tenant == servertest.Tenant) {
			t.Errorf("of tenant %q would be extended: %s", tenant, r.extend(req, start.Add(day)))
		}
	}
}

// Run notes presence at once, and ends.
func TestRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.Registry.NotePresence(time.Now().Add(-time.Hour))
	r.Must(err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.outages.Run(ctx) }()
	for {
		if all, err := r.Registry.Outages(time.Now()); err != nil || len(all) == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
}
