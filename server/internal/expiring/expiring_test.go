package expiring_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/forecast"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/expiring"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

const day = 24 * time.Hour

// noon is now. Nights end at six.
var noon = time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)

// world is a server with the destination acme/nas.
type world struct {
	*expiring.Reader
	seq *sequencer.Sequencer
	key *ledger.SigningKey

	receipts int64
	previous [32]byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	r, err := registry.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	db, err := store.Open("", store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	set, err := sequencer.OpenSet(t.Context(), db, sequencer.Options{Registry: r, Dir: t.TempDir()}, noon.Add(-20*day))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CreateTenant(registry.Tenant{Name: "acme", TimeZone: "UTC", WindowStart: 2 * time.Hour, WindowEnd: 6 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	d, err := r.CreateDestination("acme", "nas", backup.StorageS3, noon.Add(-20*day))
	if err != nil {
		t.Fatal(err)
	}
	seq, err := set.Add(t.Context(), d, noon.Add(-20*day))
	if err != nil {
		t.Fatal(err)
	}
	heard := func(string, string) (registry.Heartbeat, error) {
		return registry.Heartbeat{At: noon.Add(-time.Hour)}, nil
	}
	w := &world{Reader: &expiring.Reader{Registry: r, Sequencers: set, Heard: heard}, seq: seq}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if w.key, err = ledger.NewSigningKey(seq.Origin().AgentKeyName("0123456789abcdef"), private); err != nil {
		t.Fatal(err)
	}
	request, err := ledger.SignRequest(seq.Origin(), w.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := seq.Assign(t.Context(), request, "", noon.Add(-20*day)); err != nil {
		t.Fatal(err)
	}
	return w
}

// seal seals count items, whose sizes are 100 bytes and one more for each.
func (w *world) seal(t *testing.T, count int, at, deadline time.Time) {
	t.Helper()
	number := w.seq.Last() + 1
	staged, err := w.seq.Ledger().StageManifest(number)
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		line, err := ledger.FormatLine(backup.Item{Path: fmt.Sprintf("%d/%06d.gsm", number, i), Kind: backup.KindGSM, Digest: backup.Digest{SizeBytes: int64(100 + i)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := staged.Add(line); err != nil {
			t.Fatal(err)
		}
	}
	root, items, sizeBytes, err := staged.Commit()
	if err != nil {
		t.Fatal(err)
	}
	m := sequencer.Manifest{Number: number, Root: root, Night: backup.DateOf(at), Items: items, Bytes: sizeBytes, Deadline: deadline}
	if err := w.seq.Seal(t.Context(), m, at); err != nil {
		t.Fatal(err)
	}
}

// deliver has the agent sign for items.
func (w *world) deliver(t *testing.T, manifest, from, to int64, at time.Time) {
	t.Helper()
	session, err := w.seq.OpenSession([16]byte{byte(w.receipts + 1)})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := w.seq.Manifest(manifest)
	w.receipts++
	receipt, err := ledger.Sign(ledger.Entry{Origin: w.seq.Origin(), Time: at, Body: ledger.Delivered{
		Receipt: ledger.Receipt{Manifest: manifest, Root: m.Root, Number: w.receipts, Previous: w.previous, Indexes: ledger.NewSet(ledger.Range{First: from, Last: to - 1})},
		Method:  backup.ReadbackCached, Brought: ledger.BroughtAutomatic,
	}}, w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.previous = sha256.Sum256(receipt)
	if verdicts, err := w.seq.SubmitReceipts(t.Context(), session, [][]byte{receipt}); err != nil || verdicts[0] != sequencer.OK {
		t.Fatalf("SubmitReceipts = %v, %v", verdicts, err)
	}
}

func (w *world) all(t *testing.T, within time.Duration) (found []expiring.Destination) {
	t.Helper()
	err := w.Each(t.Context(), "acme", noon, noon.Add(within), func(d expiring.Destination) error {
		found = append(found, d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	soon, later := noon.Add(36*time.Hour), noon.Add(20*day)
	w.seal(t, 100, noon.Add(-4*day-3*time.Hour), soon) // after the night that ended on the 16th
	if found := w.all(t, 72*time.Hour); len(found) != 1 || found[0].Rate.Nights != 4 || found[0].Rate.Items != 0 || found[0].Pending[0].ExpiringItems != 100 {
		t.Errorf("nothing was ever copied: %+v", found)
	}
	w.deliver(t, 1, 0, 10, noon.Add(-3*day-7*time.Hour))
	w.deliver(t, 1, 10, 20, noon.Add(-7*time.Hour))
	w.seal(t, 100, noon.Add(-7*time.Hour), later)
	if err := w.seq.Ledger().PutFault(0, ledger.Set{}, store.Fault{Class: "billing", Party: "client", Message: "pay", Last: noon}); err != nil {
		t.Fatal(err)
	}
	found := w.all(t, 72*time.Hour)
	if len(found) != 1 || len(found[0].Pending) != 1 {
		t.Fatalf("found %+v", found)
	}
	d := found[0]
	if d.Agent == "" || !d.HeardAt.Equal(noon.Add(-time.Hour)) {
		t.Errorf("the agent is %q, heard at %v", d.Agent, d.HeardAt)
	}
	// Four nights, the 17th to the 20th, brought 20 of 14950/100 bytes each; one more night ends before the deadline.
	if want := (forecast.Rate{Nights: 4, Items: 20, Bytes: 2990}); d.Rate != want {
		t.Errorf("the rate is %+v, want %+v", d.Rate, want)
	}
	m := d.Pending[0]
	if m.Fault == nil || m.Fault.Class != "billing" || m.Night != backup.DateOf(noon.Add(-4*day-3*time.Hour)) {
		t.Errorf("the manifest is %+v", m)
	}
	want := forecast.Outlook{Backlog: forecast.Backlog{Manifest: 1, Items: 80, Bytes: 80*100 + (20+99)*80/2, Deadline: soon}, ExpiringItems: 76}
	want.ExpiringBytes = m.ExpiringBytes // looked at below
	if diff := cmp.Diff(want, m.Outlook); diff != "" {
		t.Errorf("the outlook (-want +got):\n%s", diff)
	}
	if got := m.Bytes - m.ExpiringBytes; got < 745 || got > 748 {
		t.Errorf("%d bytes are copied, want a night's 747", got)
	}
	// A fault of its recordings counts before one of the whole; and later deadlines are there when asked for.
	if err := w.seq.Ledger().PutFault(1, ledger.NewSet(ledger.Range{First: 50, Last: 51}), store.Fault{Class: "name", Party: "client", Last: noon}); err != nil {
		t.Fatal(err)
	}
	if found := w.all(t, 30*day); len(found) != 1 || len(found[0].Pending) != 2 || found[0].Pending[0].Fault.Class != "name" || found[0].Pending[1].Manifest != 2 {
		t.Errorf("within 30 days: %+v", found)
	}
	if found := w.all(t, time.Hour); len(found) != 0 {
		t.Errorf("within an hour: %+v", found)
	}
	if err := w.Each(t.Context(), "other", noon, noon.Add(day), nil); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a tenant that is not there: %v", err)
	}
}
