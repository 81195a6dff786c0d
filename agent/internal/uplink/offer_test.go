package uplink

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// holder is an agent's log with all of the history.
func holder(t testing.TB, h *history) *store.Ledger {
	t.Helper()
	log := newLedger(t)
	s := newSession(serve(t, serveLog(h)), log)
	ended := run(t, s)
	check(t, s.WaitSynced(t.Context(), patience))
	select {
	case err := <-ended:
		t.Fatal(err)
	default:
	}
	return log
}

func longHistory(t testing.TB) *history {
	h := newHistory(t, "")
	h.seal("a", 3)
	h.seal("b", 0)
	h.sealFrom("c", 100, strings.Repeat("x", 4000)) // two messages
	h.append(ledger.Retired{Reason: "ended"})
	return h
}

// TestOffer gives a server back what it lost, whatever it still has, and goes on with it.
func TestOffer(t *testing.T) {
	t.Parallel()
	h := longHistory(t)
	size, _ := h.log.Position()
	for kept := range size {
		k := newTaker(t, h, kept)
		log := holder(t, h)
		start(t, k.server(), log)
		h.isLike(k.log)
		h.isLike(log)
	}
}

// TestOfferInterrupted cuts the call at every message in turn; the same offer, made again, is taken.
func TestOfferInterrupted(t *testing.T) {
	t.Parallel()
	h := longHistory(t)
	log := holder(t, h)
	for at := 1; ; at++ {
		k := newTaker(t, h, 3)
		messages := 0
		k.cut = func() error {
			if messages++; messages == at {
				return status.Error(codes.Unavailable, "the line was cut")
			}
			return nil
		}
		s := newSession(serve(t, k.server()), log)
		taken, err := s.offer(t.Context())
		if messages < at {
			if !taken || err != nil || at < 8 {
				t.Errorf("an offer of %d messages that was not cut: %v, %v", at-1, taken, err)
			}
			break
		}
		if err == nil || taken {
			t.Errorf("cut at message %d: taken %v, %v", at, taken, err)
		}
		if taken, err = s.offer(t.Context()); err != nil {
			t.Errorf("again after a cut at message %d: %v, %v", at, taken, err)
		}
		h.isLike(k.log)
	}
}

// TestOfferRefused says in a sentence why the two sides do not come together, and leaves the log alone.
func TestOfferRefused(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "")
	h.seal("a", 3)
	probe := func(size int64) *backupv1.OfferLedgerResponse {
		return &backupv1.OfferLedgerResponse{Step: &backupv1.OfferLedgerResponse_ProbeSize{ProbeSize: size}}
	}
	first := func(n int64) *backupv1.OfferLedgerResponse {
		return &backupv1.OfferLedgerResponse{Step: &backupv1.OfferLedgerResponse_FirstSequence{FirstSequence: n}}
	}
	answer := func(err error, messages ...*backupv1.OfferLedgerResponse) func(offerCall) error {
		return func(stream offerCall) error {
			for _, m := range messages {
				if err := stream.Send(m); err != nil {
					return err
				}
			}
			if err == nil {
				<-stream.Context().Done()
			}
			return err
		}
	}
	for name, test := range map[string]struct {
		offer func(offerCall) error
		is    error
		words string
	}{
		"fork":             {answer(wire.Error(codes.FailedPrecondition, wire.ReasonFork, "3 and 4")), ErrFork, "3 and 4"},
		"tail lost":        {answer(wire.Error(codes.FailedPrecondition, wire.ReasonTailLost, "head 9")), ErrTailLost, "new log"},
		"bad offer":        {answer(wire.Error(codes.InvalidArgument, wire.ReasonBadOffer, "too short")), ErrBadOffer, "too short"},
		"superseded":       {answer(wire.Error(codes.Aborted, wire.ReasonSuperseded, "x")), ErrSuperseded, ""},
		"beyond the end":   {answer(nil, probe(4)), store.ErrNotFound, "4 of 3"},
		"below zero":       {answer(nil, probe(-1)), store.ErrNotFound, "-1 of 3"},
		"entry beyond":     {answer(nil, first(4)), nil, "entry 4 of 3"},
		"entry below zero": {answer(nil, first(-1)), nil, "entry -1 of 3"},
		"probes for ever":  {answer(nil, slices.Repeat([]*backupv1.OfferLedgerResponse{probe(1)}, maxProbes+1)...), nil, "without end"},
		"twice":            {answer(nil, first(0), first(0)), nil, "twice"},
		"nothing":          {answer(nil, &backupv1.OfferLedgerResponse{}), nil, "does not know"},
		"no result":        {func(stream offerCall) error { return stream.Send(first(0)) }, errEnded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := holder(t, h)
			s := newSession(serve(t, &fakeServer{offer: test.offer}), log)
			taken, err := s.offer(t.Context())
			if taken || err == nil || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), "rpc error") || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("offer = %v, %v, want %v, %q", taken, err, test.is, test.words)
			}
			h.isLike(log)
		})
	}
}

// TestOfferOfNothingNew says that the server has all that is held here, and does not hurry the next attempt.
func TestOfferOfNothingNew(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "")
	k := newTaker(t, h, 2)
	server := k.server()
	var watches atomic.Int32
	server.watch = func(*backupv1.WatchLedgerRequest, watchStream) error { // because of the kept head
		watches.Add(1)
		return wire.Error(codes.FailedPrecondition, wire.ReasonOfferWanted, "unknown")
	}
	s := newSession(serve(t, server), holder(t, h))
	run(t, s)
	if err := s.WaitSynced(t.Context(), time.Second); !errors.Is(err, ErrOfferWanted) {
		t.Errorf("WaitSynced = %v, want ErrOfferWanted", err)
	}
	if watches.Load() > 2 {
		t.Errorf("it watched %d times in a second", watches.Load())
	}
}

// TestOfferWithoutEnd slows down where the server takes an offer and wants the next one all the same.
func TestOfferWithoutEnd(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "")
	var offers atomic.Int32
	s := newSession(serve(t, &fakeServer{
		watch: func(*backupv1.WatchLedgerRequest, watchStream) error {
			return wire.Error(codes.FailedPrecondition, wire.ReasonOfferWanted, "unknown")
		},
		offer: func(stream offerCall) error {
			offers.Add(1)
			return stream.Send(&backupv1.OfferLedgerResponse{Step: &backupv1.OfferLedgerResponse_Result{Result: &backupv1.OfferResult{Taken: true}}})
		},
	}), holder(t, h))
	run(t, s)
	time.Sleep(3 * time.Second)
	if got := offers.Load(); got < 2 || got > 9 {
		t.Errorf("it offered %d times in three seconds", got)
	}
}

// TestSaysSuperseded tells the server once that it was superseded, and ends.
func TestSaysSuperseded(t *testing.T) {
	t.Parallel()
	var watches, said atomic.Int32
	s := newSession(serve(t, &fakeServer{watch: func(m *backupv1.WatchLedgerRequest, _ watchStream) error {
		if watches.Add(1); m.GetSuperseded() {
			if said.Add(1) == 1 {
				return status.Error(codes.Unavailable, "the line was cut")
			}
		}
		return wire.Error(codes.Aborted, wire.ReasonSuperseded, "a later process serves it")
	}}), newLedger(t))
	if err := s.Run(t.Context()); !errors.Is(err, ErrSuperseded) {
		t.Errorf("Run = %v, want ErrSuperseded", err)
	}
	if watches.Load() != 3 || said.Load() != 2 {
		t.Errorf("%d watches, %d of which say it; want a watch, a cut word, and the word", watches.Load(), said.Load())
	}
}

// TestNoSession compares heads again where the server does not know the session of a call.
func TestNoSession(t *testing.T) {
	t.Parallel()
	var watches atomic.Int32
	s := start(t, &fakeServer{
		watch: func(m *backupv1.WatchLedgerRequest, stream watchStream) error { watches.Add(1); return idle(m, stream) },
		faults: func(*backupv1.ReportFaultsRequest) (*backupv1.ReportFaultsResponse, error) {
			return nil, wire.Error(codes.Aborted, wire.ReasonNoSession, "x")
		},
	}, newLedger(t))
	if err := s.ReportFaults(t.Context(), nil); !errors.Is(err, ErrNoSession) {
		t.Errorf("ReportFaults = %v, want ErrNoSession", err)
	}
	check(t, s.WaitSynced(t.Context(), patience))
	if watches.Load() != 2 {
		t.Errorf("%d watches, want a second one", watches.Load())
	}
}

// TestRecovering shows that the server is recovering, and that it is not any more.
func TestRecovering(t *testing.T) {
	t.Parallel()
	var watches atomic.Int32
	s := start(t, &fakeServer{watch: func(_ *backupv1.WatchLedgerRequest, stream watchStream) error {
		opened := &backupv1.SessionOpened{SessionNumber: 7, ServerTime: wire.Time(noon), Recovering: watches.Add(1) == 1}
		if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Opened{Opened: opened}}); err != nil {
			return err
		}
		return stream.stay()
	}}, newLedger(t))
	if !s.Recovering() {
		t.Error("it does not show that the server is recovering")
	}
	s.Resync()
	check(t, s.WaitSynced(t.Context(), patience))
	if s.Recovering() {
		t.Error("it shows that the server is recovering after that has ended")
	}
}

// TestRecoveringComparesAgain compares heads again after a while where the server is recovering: the destination may by then
// show what it keeps.
func TestRecoveringComparesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		known := []bool{false, true}
		var watches atomic.Int32
		db, err := store.Open("", store.Options{InMemory: true, Compactors: -1})
		check(t, err)
		t.Cleanup(func() { check(t, db.Close()) })
		log, err := db.Ledger(testOrigin)
		check(t, err)
		s := newSession(serve(t, &fakeServer{watch: func(m *backupv1.WatchLedgerRequest, stream watchStream) error {
			if n := watches.Add(1); n > 2 || m.GetKeptHeadKnown() != known[n-1] {
				t.Errorf("watch %d says that the kept head is known: %v", n, m.GetKeptHeadKnown())
			}
			opened := &backupv1.SessionOpened{SessionNumber: 7, ServerTime: wire.Time(noon), Recovering: !m.GetKeptHeadKnown()}
			if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Opened{Opened: opened}}); err != nil {
				return err
			}
			return stream.stay()
		}}), log)
		s.keptHead = func(context.Context) ([]byte, bool) { return nil, known[watches.Load()] }
		run(t, s)
		check(t, s.WaitSynced(t.Context(), patience))
		time.Sleep(3 * recoveringCheck)
		synctest.Wait()
		if watches.Load() != 2 || s.Recovering() {
			t.Errorf("%d watches, recovering %v; want a second watch that ends it", watches.Load(), s.Recovering())
		}
	})
}
