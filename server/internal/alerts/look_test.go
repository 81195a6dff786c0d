package alerts

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/expiring"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

const day = 24 * time.Hour

// world is a server with the destination acme/nas, created 80 days before noon, whose nights end at six.
type world struct {
	Looker
	seq  *sequencer.Sequencer
	ends map[string]time.Time // certificates
}

func newWorld(t *testing.T) *world {
	t.Helper()
	created := noon.Add(-80 * day)
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
	set, err := sequencer.OpenSet(t.Context(), db, sequencer.Options{Registry: r, Dir: t.TempDir()}, created)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CreateTenant(registry.Tenant{Name: "acme", TimeZone: "UTC", WindowStart: 2 * time.Hour, WindowEnd: 6 * time.Hour, CutOff: time.Hour}); err != nil {
		t.Fatal(err)
	}
	d, err := r.CreateDestination("acme", "nas", backup.StorageS3, created)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := set.Add(t.Context(), d, created)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{seq: seq}
	w.Reader = expiring.Reader{Registry: r, Sequencers: set, Heard: r.Heard}
	w.CertificateEnds = func() map[string]time.Time { return w.ends }
	return w
}

// seal seals count items of the night so many days before noon, an hour after its end.
func (w *world) seal(t *testing.T, daysAgo, count int, deadline time.Time) {
	t.Helper()
	number := w.seq.Last() + 1
	staged, err := w.seq.Ledger().StageManifest(number)
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		line, err := ledger.FormatLine(backup.Item{Path: fmt.Sprintf("%d/%06d.gsm", number, i), Kind: backup.KindGSM, Digest: backup.Digest{SizeBytes: 100}})
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
	night := backup.DateOf(noon).AddDays(-daysAgo)
	m := sequencer.Manifest{Number: number, Root: root, Night: night, Items: items, Bytes: sizeBytes, Deadline: deadline}
	if err := w.seq.Seal(t.Context(), m, night.EndIn(time.UTC).Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) look(t *testing.T, at time.Time) map[Kind]Alert {
	t.Helper()
	all, err := w.Look(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	found := map[Kind]Alert{}
	for _, a := range all {
		if _, twice := found[a.Kind]; twice {
			t.Errorf("two alerts of the kind %s", a.Kind)
		}
		found[a.Kind] = a
	}
	return found
}

func wantKinds(t *testing.T, when string, found map[Kind]Alert, want ...Kind) {
	t.Helper()
	var got []Kind
	for _, kind := range kinds() {
		if _, ok := found[kind]; ok {
			got = append(got, kind)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", when, got, want)
	}
}

func TestLookAtSealing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for week := range 4 {
		w.seal(t, 1+7*(4-week), 0, noon.AddDate(1, 0, 0)) // nothing to copy
	}
	found := w.look(t, noon)
	wantKinds(t, "last night is missing", found, KindNotSealed)
	if a := found[KindNotSealed]; a.Subject != "2026-03-19" || a.Party != PartyWolkvox || !a.At.Equal(time.Date(2026, 3, 20, 4, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", a)
	}
	w.seal(t, 2, 0, noon.AddDate(1, 0, 0))
	wantKinds(t, "before last night is due", w.look(t, noon.Add(-9*time.Hour)))
	w.seal(t, 1, 0, noon.AddDate(1, 0, 0))
	wantKinds(t, "an empty night as always", w.look(t, noon))
	w.ends = map[string]time.Time{"server": noon.Add(13 * day), "authority": noon.Add(15 * day)}
	wantKinds(t, "a certificate", w.look(t, noon), KindCertificate)
}

func TestLookAtSmallNights(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		count int
		want  bool
	}{{0, true}, {1, true}, {2, false}, {8, false}} {
		w := newWorld(t)
		for week := 4; week > 0; week-- {
			w.seal(t, 1+7*week, 8, noon.AddDate(1, 0, 0))
		}
		w.seal(t, 1, test.count, noon.AddDate(1, 0, 0))
		a, got := w.look(t, noon)[KindSmall]
		if got != test.want || got && (a.Usual != 8 || a.Count != int64(test.count)) {
			t.Errorf("%d of usually 8: %v, %+v", test.count, got, a)
		}
	}
}

func TestLookAtWhatIsPending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seal(t, 2, 5, noon.Add(60*time.Hour)) // at 01:00 on the 19th
	w.seal(t, 1, 0, noon.AddDate(1, 0, 0))
	early := time.Date(2026, 3, 20, 2, 30, 0, 0, time.UTC)
	found := w.look(t, early)
	wantKinds(t, "after a day", found, KindExpiring)
	found = w.look(t, noon)
	wantKinds(t, "after more than 26 hours", found, KindExpiring, KindStalled)
	if a := found[KindExpiring]; a.Count != 5 || a.Pending != 5 || a.Party != PartyClient || !a.At.Equal(noon.Add(60*time.Hour)) || a.Estimated {
		t.Errorf("%+v", a)
	}
	if a := found[KindStalled]; a.Count != 5 || !a.At.Equal(time.Date(2026, 3, 19, 1, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", a)
	}
	fault := store.Fault{Class: "billing", Party: "client", Code: "AccountIsDisabled", Message: "the account is disabled", Last: noon.Add(-time.Hour)}
	if err := w.seq.Ledger().PutFault(0, ledger.Set{}, fault); err != nil {
		t.Fatal(err)
	}
	found = w.look(t, noon)
	wantKinds(t, "an account that is not paid", found, KindExpiring, KindBilling, KindStalled)
	if a := found[KindStalled]; a.Fault != fault.Message || a.FaultClass != "billing" {
		t.Errorf("the cause of what stands still: %+v", a)
	}
	w.deliver(t, noon.Add(-2*time.Hour))
	wantKinds(t, "one was confirmed since", w.look(t, noon), KindExpiring, KindBilling)
	if _, still := w.look(t, noon.Add(2*day))[KindBilling]; still {
		t.Error("a fault of two days ago counts")
	}
}

// deliver has an agent assigned, and sign for the first item.
func (w *world) deliver(t *testing.T, at time.Time) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewSigningKey(w.seq.Origin().AgentKeyName("0123456789abcdef"), private)
	if err != nil {
		t.Fatal(err)
	}
	request, err := ledger.SignRequest(w.seq.Origin(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.seq.Assign(t.Context(), request, "", at); err != nil {
		t.Fatal(err)
	}
	session, err := w.seq.OpenSession([16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := w.seq.Manifest(1)
	receipt, err := ledger.Sign(ledger.Entry{Origin: w.seq.Origin(), Time: at, Body: ledger.Delivered{
		Receipt: ledger.Receipt{Manifest: 1, Root: m.Root, Number: 1, Indexes: ledger.NewSet(ledger.Range{})},
		Method:  backup.ReadbackCached, Brought: ledger.BroughtAutomatic,
	}}, key)
	if err != nil {
		t.Fatal(err)
	}
	if verdicts, err := w.seq.SubmitReceipts(t.Context(), session, [][]byte{receipt}); err != nil || verdicts[0] != sequencer.OK {
		t.Fatalf("SubmitReceipts = %v, %v", verdicts, err)
	}
}

func TestAgentAlerts(t *testing.T) {
	t.Parallel()
	agent := registry.Agent{Tenant: "acme", Name: "a1", EnrolledAt: noon.Add(-30 * day), CertificateEnd: noon.Add(30 * day)}
	ending := agent
	ending.CertificateEnd = noon.Add(13 * day)
	for _, test := range []struct {
		name  string
		agent registry.Agent
		heard time.Time
		want  []Kind
	}{
		{"all is well", agent, noon.Add(-5 * time.Hour), nil},
		{"silent", agent, noon.Add(-7 * time.Hour), []Kind{KindSilent}},
		{"never heard", agent, time.Time{}, []Kind{KindSilent}},
		{"its certificate ends", ending, noon, []Kind{KindCertificate}},
	} {
		var got []Kind
		for _, a := range agentAlerts(test.agent, test.heard, noon) {
			got = append(got, a.Kind)
			if a.Kind == KindSilent && a.HeardBefore == test.heard.IsZero() {
				t.Errorf("%s: %+v", test.name, a)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
