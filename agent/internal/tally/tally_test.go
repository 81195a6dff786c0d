package tally

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/report"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

const testOrigin = ledger.Origin("wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func day(n int) backup.Date { return backup.Date{Year: 2026, Month: time.March, Day: n} }

// site is a log with both sides' keys.
type site struct {
	t             testing.TB
	log           *store.Ledger
	server, agent *ledger.SigningKey
	now           time.Time
	receipts      int64
	last          tlog.Hash
}

func testKey(t testing.TB, name string) *ledger.SigningKey {
	seed := sha256.Sum256([]byte(name))
	key, err := ledger.NewSigningKey(name, ed25519.NewKeyFromSeed(seed[:]))
	check(t, err)
	return key
}

// newSite makes a destination that begins on 1 March.
func newSite(t testing.TB) *site {
	t.Helper()
	db, err := store.Open("", store.Options{InMemory: true})
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	log, err := db.Ledger(testOrigin)
	check(t, err)
	s := &site{t: t, log: log, server: testKey(t, string(testOrigin)), agent: testKey(t, testOrigin.AgentKeyName("0123456789abcdef")),
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	request, err := ledger.SignRequest(testOrigin, s.agent)
	check(t, err)
	s.append(ledger.Genesis{Storage: backup.StorageRSYNC, WindowDays: 15, ServerKey: s.server.Verifier()})
	s.append(ledger.Assigned{Request: request})
	return s
}

func (s *site) append(bodies ...ledger.Body) {
	s.t.Helper()
	var leaves [][]byte
	for _, body := range bodies {
		key := s.server
		if body.Kind().IsReceipt() {
			key = s.agent
		}
		leaf, err := ledger.Sign(ledger.Entry{Origin: testOrigin, Time: s.now, Body: body}, key)
		check(s.t, err)
		if body.Kind().IsReceipt() {
			s.receipts, s.last = s.receipts+1, sha256.Sum256(leaf)
		}
		leaves = append(leaves, leaf)
	}
	check(s.t, s.log.Append(leaves...))
}

// stage stages a manifest of recordings of these kinds; item i has 3300*(i+1) bytes.
func (s *site) stage(n int64, night backup.Date, kinds ...backup.MediaKind) ledger.Sealed {
	s.t.Helper()
	w, err := s.log.StageManifest(n)
	check(s.t, err)
	for i, kind := range kinds {
		line, err := ledger.FormatLine(backup.Item{Path: fmt.Sprintf("%d/%03d", n, i), Kind: kind,
			Digest: backup.Digest{SHA256: sha256.Sum256([]byte{byte(i)}), SizeBytes: 3300 * int64(i+1)}})
		check(s.t, err)
		check(s.t, w.Add(line))
	}
	root, items, sizeBytes, err := w.Commit()
	check(s.t, err)
	return ledger.Sealed{Manifest: n, Root: root, Night: night, Items: items, Bytes: sizeBytes, Deadline: night.AddDays(15).EndIn(time.UTC)}
}

func (s *site) receipt(n int64, items ledger.Set) ledger.Receipt {
	var root tlog.Hash
	s.log.View(func(l *ledger.Log) { m, _ := l.Manifest(n); root = m.Root })
	return ledger.Receipt{Manifest: n, Root: root, Number: s.receipts + 1, Previous: s.last, Indexes: items}
}

func (s *site) deliver(n int64, items ledger.Set) {
	s.t.Helper()
	s.append(ledger.Delivered{Receipt: s.receipt(n, items), Method: backup.ReadbackCached, Brought: ledger.BroughtAutomatic})
}

func (s *site) root(n int64) tlog.Hash { return s.receipt(n, ledger.Set{}).Root }

func span(first, last int64) ledger.Set { return ledger.NewSet(ledger.Range{First: first, Last: last}) }

func (s *site) nights(p Period) []report.Night {
	s.t.Helper()
	sums, err := New(s.t.Context(), s.log, p)
	check(s.t, err)
	var nights []report.Night
	check(s.t, sums.Nights(s.t.Context(), func(n report.Night) error { nights = append(nights, n); return nil }))
	return nights
}

func standings(nights []report.Night) (all []string) {
	for _, n := range nights {
		all = append(all, fmt.Sprintf("%d %s", n.Date.Day, n.Standing))
	}
	return all
}

// A night is sealed empty, not sealed, not due, or unknown: silence and failure differ.
func TestStandings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.append(s.stage(1, day(1), backup.KindGSM))
	s.append(s.stage(2, day(2)))
	s.append(s.stage(3, day(4), backup.KindGSM))
	p := Period{From: day(1).AddDays(-1), To: day(8), Zone: time.UTC, At: time.Date(2026, 3, 7, 13, 0, 0, 0, time.UTC), Heard: true}
	want := []string{"28 before", "1 sealed", "2 empty", "3 not-sealed", "4 sealed", "5 not-sealed", "6 not-sealed", "7 not-due", "8 not-due"}
	if diff := cmp.Diff(want, standings(s.nights(p))); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	p.Heard = false
	want[5], want[6] = "5 unknown", "6 unknown"
	if diff := cmp.Diff(want, standings(s.nights(p))); diff != "" {
		t.Errorf("not heard (-want +got):\n%s", diff)
	}
	s.now = time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	s.append(ledger.Retired{Reason: "ended"})
	want[6], want[7], want[8] = "6 ended", "7 ended", "8 ended"
	if diff := cmp.Diff(want, standings(s.nights(p))); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

// Of a log that was never heard nothing is known, and that is said.
func TestEmptyLog(t *testing.T) {
	t.Parallel()
	db, err := store.Open("", store.Options{InMemory: true})
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	log, err := db.Ledger(testOrigin)
	check(t, err)
	s := &site{t: t, log: log}
	got := standings(s.nights(Period{From: day(1), To: day(2), Zone: time.UTC, At: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)}))
	if diff := cmp.Diff([]string{"1 unknown", "2 unknown"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What becomes of the recordings of one night, in two manifests, is added up, and every form of a recording is found one by one.
func TestAmounts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sealed := s.stage(1, day(1), backup.KindGSM, backup.KindMP3, backup.KindMP3, backup.KindChat, backup.KindGSM, backup.KindWAV49, backup.KindGSM, backup.KindGSM)
	many := int64(20)
	sealed.Interactions, sealed.Unrecorded = &many, []ledger.UnrecordedCount{{Reason: "abandoned", Count: 3}, {Reason: "failed", Count: 1}}
	s.append(sealed)
	check(t, s.log.PutDurations(1, map[int64]time.Duration{1: time.Minute}))
	check(t, s.log.PutFault(1, span(5, 6), store.Fault{Class: "quota", Party: "client", Code: "EDQUOT", Message: "full", Last: s.now}))
	s.deliver(1, span(0, 2)) // gsm, measured mp3, mp3 that nobody measured
	s.append(ledger.Waived{Receipt: s.receipt(1, span(3, 3)), Reason: "declined"})
	replacement := s.stage(2, day(1), backup.KindGSM)
	s.append(ledger.Withdrawn{Manifest: 1, Root: s.root(1), Indexes: span(4, 4), Reason: "changed", Replacement: 2}, replacement)
	s.append(ledger.Withdrawn{Manifest: 1, Root: s.root(1), Indexes: span(7, 7), Reason: "lost"})
	nights := s.nights(Period{From: day(1), To: day(1), Zone: time.UTC, At: s.now, Heard: true})
	want := report.Night{
		Date: day(1), Standing: report.Sealed, Manifests: 2, Replaced: 1, Deadline: sealed.Deadline, Interactions: &many,
		Causes:     []report.Cause{{State: backup.Pending, Class: "quota", Party: "client", Code: "EDQUOT", Message: "full", Items: 2}},
		Unrecorded: []report.Reason{{Code: "abandoned", Count: 3}, {Code: "failed", Count: 1}},
	}
	const frame = 20 * time.Millisecond
	want.States[backup.Confirmed] = report.Amount{Items: 3, Bytes: 3300 + 6600 + 9900, Sound: 100*frame + time.Minute, Unmeasured: 1}
	want.States[backup.Waived] = report.Amount{Items: 1, Bytes: 13200}
	want.States[backup.Withdrawn] = report.Amount{Items: 2, Bytes: 16500 + 26400, Sound: 1300 * frame}
	want.States[backup.Pending] = report.Amount{Items: 3, Bytes: 19800 + 23100 + 3300, Sound: 800 * frame, Unmeasured: 1}
	if diff := cmp.Diff([]report.Night{want}, nights); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	s.append(ledger.Closed{Manifest: 1, Root: s.root(1), Counts: ledger.Counts{backup.Confirmed: 3, backup.Expired: 2, backup.Waived: 1, backup.Withdrawn: 2}})
	check(t, s.log.PutFault(1, span(6, 6), store.Fault{Class: "network", Party: "network", Code: "ETIMEDOUT", Message: "slow", Last: s.now.Add(time.Hour)}))
	p := Period{From: day(1), To: day(1), Zone: time.UTC, At: s.now, Heard: true}
	night := s.nights(p)[0]
	if causes := night.Causes; len(causes) != 2 || causes[0].State != backup.Expired || causes[0].Items+causes[1].Items != 2 || !night.Deadline.Equal(replacement.Deadline) {
		t.Errorf("closed, the night is %+v", night)
	}
	sums, err := New(t.Context(), s.log, p)
	check(t, err)
	var files []string
	var states [8]report.Amount
	check(t, sums.Files(t.Context(), func(f report.File) error {
		files = append(files, fmt.Sprintf("%d.%d %s %v %s", f.Manifest, f.Index, f.State, f.Sound, f.Cause.Code))
		sound, unmeasured := f.Sound, int64(0)
		if sound < 0 {
			sound, unmeasured = 0, 1
		}
		states[f.State] = states[f.State].Plus(report.Amount{Items: 1, Bytes: f.Item.Digest.SizeBytes, Sound: sound, Unmeasured: unmeasured})
		return nil
	}))
	wantFiles := []string{"1.0 confirmed 2s ", "1.1 confirmed 1m0s ", "1.2 confirmed -1ns ", "1.3 waived 0s ", "1.4 withdrawn 10s ", "1.5 expired -1ns EDQUOT",
		"1.6 expired 14s ETIMEDOUT", "1.7 withdrawn 16s ", "2.0 pending 2s "}
	if diff := cmp.Diff(wantFiles, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(night.States, states); diff != "" {
		t.Errorf("the night is not what its files add up to (-night +files):\n%s", diff)
	}
}

// A manifest in one state whose items were measured is not read line by line, and adds up to the same.
func TestMeasuredAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	kinds := slices.Repeat([]backup.MediaKind{backup.KindMP3}, 50)
	sealed := s.stage(1, day(1), kinds...)
	s.append(sealed)
	s.deliver(1, span(0, 49))
	put := make(map[int64]time.Duration)
	for i := range int64(50) {
		put[i] = time.Duration(i) * time.Second
	}
	check(t, s.log.PutDurations(1, put))
	p := Period{From: day(1), To: day(1), Zone: time.UTC, At: s.now, Heard: true}
	want := report.Amount{Items: 50, Bytes: sealed.Bytes, Sound: 1225 * time.Second}
	if got := s.nights(p)[0].States[backup.Confirmed]; got != want {
		t.Errorf("measured: %+v, want %+v", got, want)
	}
	s.append(ledger.Forgotten{Manifest: 1, Root: s.root(1), Indexes: span(49, 49)})
	night := s.nights(p)[0]
	if sum := night.States[backup.Confirmed].Plus(night.States[backup.Forgotten]); sum != want || night.States[backup.Forgotten].Items != 1 {
		t.Errorf("one was erased: %+v, want %+v", sum, want)
	}
}
