package uplink

import (
	"errors"
	"slices"
	"strings"
	"testing"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
)

// TestRefusedBatches keeps nothing of a batch that does not lead from the log's head to the head that came with it.
func TestRefusedBatches(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "")
	h.seal("a", 3)
	other := newHistory(t, "other")
	h.append(ledger.Retired{Reason: "ended"})
	for name, test := range map[string]struct {
		change func(*backupv1.EntryBatch)
		words  string
	}{
		"wrong sequence":         {func(b *backupv1.EntryBatch) { b.AfterSequence = 1 }, "what follows entry 1"},
		"no head":                {func(b *backupv1.EntryBatch) { b.Head = nil }, "refused as TEXT"},
		"head of another log":    {func(b *backupv1.EntryBatch) { b.Head = other.batch(0).GetHead() }, "another history"},
		"an entry is missing":    {func(b *backupv1.EntryBatch) { b.Entries = slices.Delete(b.Entries, 1, 2) }, "entries from the server"},
		"the last is missing":    {func(b *backupv1.EntryBatch) { b.Entries = b.Entries[:len(b.Entries)-1] }, "another history"},
		"an entry is doubled":    {func(b *backupv1.EntryBatch) { b.Entries = append(b.Entries, b.Entries[0]) }, "entries from the server"},
		"a bit is flipped":       {func(b *backupv1.EntryBatch) { b.Entries[0][60] ^= 1 }, ""},
		"no entry":               {func(b *backupv1.EntryBatch) { b.Entries[1] = nil }, "entry 1"},
		"a head without entries": {func(b *backupv1.EntryBatch) { b.Entries = nil }, "without the entries"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			batch := h.batch(0)
			for i := range batch.Entries {
				batch.Entries[i] = slices.Clone(batch.Entries[i])
			}
			test.change(batch)
			server, log := serveLog(h), newLedger(t)
			server.watch = func(_ *backupv1.WatchLedgerRequest, stream watchStream) error {
				if err := stream.opened(7, 4); err != nil {
					return err
				}
				if err := stream.batch(batch); err != nil {
					return err
				}
				return stream.stay()
			}
			s := newSession(serve(t, server), log)
			err := s.watch(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("the watch ends with %v, want %q", err, test.words)
			}
			isEmpty(t, log)
		})
	}
}

// TestRefusedAnswers ends a watch at what the contract does not know.
func TestRefusedAnswers(t *testing.T) {
	t.Parallel()
	for name, watch := range map[string]func(*backupv1.WatchLedgerRequest, watchStream) error{
		"nothing": func(*backupv1.WatchLedgerRequest, watchStream) error { return nil },
		"empty message": func(_ *backupv1.WatchLedgerRequest, s watchStream) error {
			return s.Send(&backupv1.WatchLedgerResponse{})
		},
		"batch first": func(_ *backupv1.WatchLedgerRequest, s watchStream) error { return s.batch(&backupv1.EntryBatch{}) },
		"no time": func(_ *backupv1.WatchLedgerRequest, s watchStream) error {
			return s.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Opened{Opened: &backupv1.SessionOpened{SessionNumber: 1}}})
		},
		"negative number": func(_ *backupv1.WatchLedgerRequest, s watchStream) error { return s.opened(-1, 0) },
		"negative size":   func(_ *backupv1.WatchLedgerRequest, s watchStream) error { return s.opened(1, -1) },
		"opened twice": func(_ *backupv1.WatchLedgerRequest, s watchStream) error {
			return errors.Join(s.opened(1, 5), s.opened(1, 5))
		},
		"oversize": func(_ *backupv1.WatchLedgerRequest, s watchStream) error {
			return errors.Join(s.opened(1, 5), s.batch(&backupv1.EntryBatch{Head: make([]byte, MaxMessageBytes+1)}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newLedger(t)
			s := newSession(serve(t, &fakeServer{watch: watch}), log)
			if err := s.watch(t.Context()); err == nil || err.Error() == "" || strings.Contains(err.Error(), "rpc error") {
				t.Errorf("the watch ends with %v", err)
			}
			if s.synced {
				t.Error("the session is synced")
			}
			isEmpty(t, log)
		})
	}
}
