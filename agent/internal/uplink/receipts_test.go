package uplink

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// enqueue puts receipts for the items of manifest 1, one for each, into the outbox.
func enqueue(t *testing.T, h *history, log *store.Ledger, items int64) {
	t.Helper()
	for i := range items {
		sign(t, h, log, ledger.NewSet(ledger.Range{First: i, Last: i}), 1)
	}
}

// sign puts so many receipts for a set of items of manifest 1 into the outbox.
func sign(t *testing.T, h *history, log *store.Ledger, items ledger.Set, times int) {
	t.Helper()
	var m ledger.Manifest
	log.View(func(log *ledger.Log) { m, _ = log.Manifest(1) })
	for range times {
		_, err := log.Enqueue(func(number int64, previous tlog.Hash) ([]byte, error) {
			return ledger.Sign(ledger.Entry{Origin: testOrigin, Time: noon, Body: ledger.Delivered{
				Receipt: ledger.Receipt{Manifest: 1, Root: m.Root, Number: number, Previous: previous, Indexes: items},
				Method:  backup.ReadbackCached, Brought: ledger.BroughtAutomatic,
			}}, h.agent)
		})
		check(t, err)
	}
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	const items = 5
	all := func(v backupv1.Verdict, n int) []backupv1.Verdict { return slices.Repeat([]backupv1.Verdict{v}, n) }
	for name, test := range map[string]struct {
		verdicts []backupv1.Verdict
		err      error
		want     Verdict
		from     int // the receipt that met it
		words    string
	}{
		"all in the log":   {verdicts: all(backupv1.Verdict_VERDICT_OK, items), want: VerdictOK},
		"a gap":            {verdicts: append(all(backupv1.Verdict_VERDICT_OK, 2), all(backupv1.Verdict_VERDICT_GAP, 3)...), want: VerdictGap, from: 2},
		"a fork":           {verdicts: all(backupv1.Verdict_VERDICT_FORK, items), want: VerdictFork},
		"another agent":    {verdicts: append(all(backupv1.Verdict_VERDICT_OK, 4), backupv1.Verdict_VERDICT_NOT_ASSIGNED), want: VerdictNotAssigned, from: 4},
		"bad root":         {verdicts: append(all(backupv1.Verdict_VERDICT_OK, 1), all(backupv1.Verdict_VERDICT_BAD_ROOT, 4)...), want: VerdictBadRoot, from: 1},
		"too few":          {verdicts: all(backupv1.Verdict_VERDICT_OK, items-1), words: "4 verdicts for 5"},
		"too many":         {verdicts: all(backupv1.Verdict_VERDICT_OK, items+1), words: "6 verdicts for 5"},
		"none":             {words: "0 verdicts for 5"},
		"unspecified":      {verdicts: all(backupv1.Verdict_VERDICT_UNSPECIFIED, items), words: "unknown verdict 0"},
		"unknown":          {verdicts: all(backupv1.Verdict(300), items), words: "unknown verdict 300"},
		"one byte like OK": {verdicts: all(backupv1.Verdict(257), items), words: "unknown verdict 257"},
		"refused":          {err: wire.Error(codes.PermissionDenied, wire.ReasonNotAssigned, "agent b serves it"), words: "agent b serves it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := newHistory(t, ""), newLedger(t)
			h.seal("a", items)
			server := serveLog(h)
			server.submit = func(m *backupv1.SubmitReceiptsRequest) (*backupv1.SubmitReceiptsResponse, error) {
				if m.GetSessionNumber() != 7 || m.GetOrigin() != string(testOrigin) || len(m.GetReceipts()) != items {
					t.Errorf("asked in session %d with %d receipts", m.GetSessionNumber(), len(m.GetReceipts()))
				}
				return &backupv1.SubmitReceiptsResponse{Verdicts: test.verdicts}, test.err
			}
			s := start(t, server, log)
			enqueue(t, h, log, items)
			verdict, refused, err := s.Submit(t.Context())
			if test.words != "" {
				if err == nil || !strings.Contains(err.Error(), test.words) {
					t.Errorf("Submit: %v, %v, want an error with %q", verdict, err, test.words)
				}
				return
			}
			waiting, _ := log.Outbox()
			want := waiting[test.from:]
			if test.want == VerdictOK {
				want = nil
			}
			if err != nil || verdict != test.want || !slices.EqualFunc(refused, want, bytes.Equal) {
				t.Errorf("Submit: %v with %d receipts, %v, want %v with %d", verdict, len(refused), err, test.want, len(want))
			}
			if len(waiting) != items {
				t.Errorf("%d receipts wait, want %d: the log does not hold them yet", len(waiting), items)
			}
		})
	}
}

func TestSubmitNothing(t *testing.T) {
	t.Parallel()
	s := newSession(serve(t, &fakeServer{}), newLedger(t))
	if verdict, _, err := s.Submit(t.Context()); err != nil || verdict != VerdictOK {
		t.Errorf("Submit of nothing: %v, %v", verdict, err)
	}
	if _, err := s.submit(t.Context(), [][]byte{nil}); !errors.Is(err, errNoSession) {
		t.Errorf("before a session: %v, want errNoSession", err)
	}
}

// TestSubmitInParts sends many receipts in several calls, all of them in their order.
func TestSubmitInParts(t *testing.T) {
	t.Parallel()
	const items, receipts = 3000, 120
	h, log := newHistory(t, ""), newLedger(t)
	h.seal("a", items)
	server := serveLog(h)
	var got [][]byte
	calls := 0
	server.submit = func(m *backupv1.SubmitReceiptsRequest) (*backupv1.SubmitReceiptsResponse, error) {
		calls++
		sizeBytes := 0
		for _, receipt := range m.GetReceipts() {
			sizeBytes += len(receipt)
		}
		if sizeBytes > maxSubmitBytes {
			t.Errorf("a call carries %d bytes", sizeBytes)
		}
		got = append(got, m.GetReceipts()...)
		return &backupv1.SubmitReceiptsResponse{Verdicts: slices.Repeat([]backupv1.Verdict{backupv1.Verdict_VERDICT_OK}, len(m.GetReceipts()))}, nil
	}
	s := start(t, server, log)
	var every []ledger.Range // of two, so that a receipt is long
	for i := int64(0); i < items; i += 2 {
		every = append(every, ledger.Range{First: i, Last: i})
	}
	sign(t, h, log, ledger.NewSet(every...), receipts)
	if verdict, _, err := s.Submit(t.Context()); err != nil || verdict != VerdictOK {
		t.Fatalf("Submit: %v, %v", verdict, err)
	}
	waiting, _ := log.Outbox()
	if calls < 2 || !slices.EqualFunc(got, waiting, bytes.Equal) {
		t.Errorf("%d receipts came in %d calls, want all %d in order in several", len(got), calls, receipts)
	}
}

func TestVerdictNames(t *testing.T) {
	t.Parallel()
	for verdict, name := range map[Verdict]string{VerdictOK: "OK", VerdictGap: "GAP", VerdictFork: "FORK", VerdictNotAssigned: "NOT_ASSIGNED", VerdictBadRoot: "BAD_ROOT"} {
		if verdict.String() != "VERDICT_"+name {
			t.Errorf("%d is %q, want VERDICT_%s", verdict, verdict, name)
		}
	}
	if len(backupv1.Verdict_name) != 6 {
		t.Errorf("the contract has %d verdicts, here are 5 and none", len(backupv1.Verdict_name))
	}
}
