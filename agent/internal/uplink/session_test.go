package uplink

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// patience bounds waits that end sooner unless something is wrong.
const patience = 10 * time.Second

// serveLog answers as a server with the whole history does.
func serveLog(h *history) *fakeServer {
	return &fakeServer{
		watch: func(m *backupv1.WatchLedgerRequest, stream watchStream) error {
			size, _ := h.log.Position()
			if err := stream.opened(7, size); err != nil {
				return err
			}
			if err := stream.batch(h.batch(m.GetPosition().GetSize())); err != nil {
				return err
			}
			return stream.stay()
		},
		manifest: func(m *backupv1.ReadManifestRequest, stream grpc.ServerStreamingServer[backupv1.ReadManifestResponse]) error {
			return stream.Send(&backupv1.ReadManifestResponse{StartIndex: m.GetStartIndex(), Lines: h.lines(m.GetManifest(), m.GetStartIndex()), Last: true})
		},
	}
}

// isLike makes sure that an agent's log equals the history.
func (h *history) isLike(log *store.Ledger) {
	h.t.Helper()
	size, root := h.log.Position()
	if got, gotRoot := log.Position(); got != size || gotRoot != root {
		h.t.Errorf("the log has %d entries and root %x, want %d and %x", got, gotRoot[:4], size, root[:4])
	}
	if report, err := log.Verify(h.t.Context()); err != nil || len(report.Problems) > 0 {
		h.t.Errorf("the log does not verify: %v, %v", report.Problems, err)
	}
}

func isEmpty(t *testing.T, log *store.Ledger) {
	t.Helper()
	if size, _ := log.Position(); size != 0 || log.Head() != nil {
		t.Errorf("%d entries were kept, and the head %q; want nothing", size, log.Head())
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "")
	h.seal("a", 3)
	h.seal("b", 0)
	server, log := serveLog(h), newLedger(t)
	var asked *backupv1.WatchLedgerRequest
	watch := server.watch
	server.watch = func(m *backupv1.WatchLedgerRequest, stream watchStream) error { asked = m; return watch(m, stream) }
	s := start(t, server, log)
	h.isLike(log)
	if number, ok := s.Number(); !ok || number != 7 || s.Problem() != nil {
		t.Errorf("session %d, %v, problem %v", number, ok, s.Problem())
	}
	if at, ok := s.client.Clock.At(time.Now()); !ok || at.Before(noon) || at.After(noon.Add(patience)) {
		t.Errorf("the server's time is %v, %v", at, ok)
	}
	if len(asked.GetProcessId()) != 16 || asked.GetOrigin() != string(testOrigin) || string(asked.GetKeptHead()) != "kept head" || !asked.GetKeptHeadKnown() {
		t.Errorf("the session was asked for with %v", asked)
	}
}

// TestSuperseded ends the session for good, and everybody who waits for it.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	superseded := wire.Error(codes.Aborted, wire.ReasonSuperseded, "a later process serves it")
	t.Run("watch", func(t *testing.T) {
		t.Parallel()
		s := newSession(serve(t, &fakeServer{watch: func(*backupv1.WatchLedgerRequest, watchStream) error { return superseded }}), newLedger(t))
		ended := run(t, s)
		if err := s.WaitSynced(t.Context(), patience); !errors.Is(err, ErrSuperseded) {
			t.Errorf("WaitSynced = %v, want ErrSuperseded", err)
		}
		if err := <-ended; !errors.Is(err, ErrSuperseded) {
			t.Errorf("Run = %v, want ErrSuperseded", err)
		}
	})
	for name, call := range map[string]func(*Session) error{
		"contents": func(s *Session) error {
			contents, err := s.Contents(t.Context(), ContentsRequest{Manifest: 1})
			if err == nil {
				_, _, err = contents.Next()
			}
			return err
		},
		"faults":    func(s *Session) error { return s.ReportFaults(t.Context(), nil) },
		"heartbeat": func(s *Session) error { number, _ := s.Number(); s.Supersede(number); return ErrSuperseded },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var watches atomic.Int32
			s := newSession(serve(t, &fakeServer{
				watch: func(m *backupv1.WatchLedgerRequest, stream watchStream) error {
					if !m.GetSuperseded() && watches.Add(1) > 1 {
						t.Error("it watches again")
					}
					return idle(m, stream)
				},
				contents: func(*backupv1.FetchContentsRequest, grpc.ServerStreamingServer[backupv1.FetchContentsResponse]) error {
					return superseded
				},
				faults: func(*backupv1.ReportFaultsRequest) (*backupv1.ReportFaultsResponse, error) { return nil, superseded },
			}), newLedger(t))
			ended := run(t, s)
			check(t, s.WaitSynced(t.Context(), patience))
			if err := call(s); !errors.Is(err, ErrSuperseded) {
				t.Errorf("the call ends with %v, want ErrSuperseded", err)
			}
			if err := <-ended; !errors.Is(err, ErrSuperseded) || !errors.Is(s.Problem(), ErrSuperseded) {
				t.Errorf("Run = %v, problem %v, want ErrSuperseded", err, s.Problem())
			}
		})
	}
}

// TestProblem goes on trying, and says why there is no watch now, in words for people.
func TestProblem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err   error
		is    error
		words string
	}{
		"fork":          {wire.Error(codes.FailedPrecondition, wire.ReasonFork, "heads 5 and 6"), ErrFork, "heads 5 and 6"},
		"tail lost":     {wire.Error(codes.FailedPrecondition, wire.ReasonTailLost, "head 9"), ErrTailLost, "ask wolkvox for a join string"},
		"no session":    {wire.Error(codes.Aborted, wire.ReasonNoSession, "x"), ErrNoSession, "compared again"},
		"not assigned":  {wire.Error(codes.PermissionDenied, wire.ReasonNotAssigned, "agent b serves it"), nil, "agent b serves it"},
		"unreachable":   {status.Error(codes.Unavailable, "connection refused"), ErrUnreachable, "connection refused"},
		"shutting down": {wire.RetryError(codes.Unavailable, wire.ReasonShuttingDown, time.Millisecond, "the server is being stopped"), nil, "the server is being stopped"},
		"ended":         {nil, errEnded, "before it was complete"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var watches atomic.Int32
			again := make(chan struct{})
			s := newSession(serve(t, &fakeServer{watch: func(m *backupv1.WatchLedgerRequest, stream watchStream) error {
				if watches.Add(1) == 1 {
					return test.err
				}
				<-again
				return idle(m, stream)
			}}), newLedger(t))
			ended := run(t, s)
			err := s.WaitSynced(t.Context(), 1500*time.Millisecond)
			if err == nil || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), "rpc error") || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("WaitSynced = %v, want %q", err, test.words)
			}
			if wantUnreachable := test.is == ErrUnreachable; errors.Is(err, ErrUnreachable) != wantUnreachable {
				t.Errorf("%v is ErrUnreachable: %v", err, !wantUnreachable)
			}
			if s.Problem() == nil {
				t.Error("no problem is shown")
			}
			close(again)
			check(t, s.WaitSynced(t.Context(), patience))
			if s.Problem() != nil {
				t.Errorf("once it is well it shows %v", s.Problem())
			}
			select {
			case err := <-ended:
				t.Errorf("the session ended: %v", err)
			default:
			}
		})
	}
}

// TestPatience gives up waiting, while the server says nothing or the caller is called off.
func TestPatience(t *testing.T) {
	t.Parallel()
	s := newSession(serve(t, &fakeServer{watch: func(_ *backupv1.WatchLedgerRequest, stream watchStream) error { return stream.stay() }}), newLedger(t))
	run(t, s)
	if err := s.WaitSynced(t.Context(), 20*time.Millisecond); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("WaitSynced = %v", err)
	}
	why := errors.New("called off")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
	if err := s.WaitSynced(ctx, time.Hour); !errors.Is(err, why) {
		t.Errorf("WaitSynced = %v, want %v", err, why)
	}
	if err := s.watch(ctx); err == nil {
		t.Error("a watch that was called off ends without an error")
	}
}

// TestNotSyncedBefore is synced only when the log has the size that the opening named.
func TestNotSyncedBefore(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "")
	server, log := serveLog(h), newLedger(t)
	more := make(chan struct{})
	server.watch = func(_ *backupv1.WatchLedgerRequest, stream watchStream) error {
		first := h.batch(0)
		<-more
		h.seal("a", 2)
		size, _ := h.log.Position()
		if err := errors.Join(stream.opened(7, size), stream.batch(first)); err != nil {
			return err
		}
		<-more
		if err := stream.batch(h.batch(2)); err != nil {
			return err
		}
		return stream.stay()
	}
	s := newSession(serve(t, server), log)
	run(t, s)
	changed := log.Changed()
	more <- struct{}{}
	<-changed
	if err := s.WaitSynced(t.Context(), 50*time.Millisecond); err == nil {
		t.Error("it is synced after 2 of 3 entries")
	}
	more <- struct{}{}
	check(t, s.WaitSynced(t.Context(), patience))
	h.isLike(log)
}

// TestResync compares heads anew: nobody is let through before a watch that began afterwards has caught up, however the
// end of the one before falls together with its last batch.
func TestResync(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	watches, let := 0, 0
	server := &fakeServer{watch: func(m *backupv1.WatchLedgerRequest, stream watchStream) error {
		mu.Lock()
		watches++
		let = watches
		mu.Unlock()
		return idle(m, stream)
	}}
	s := start(t, server, newLedger(t))
	for range 5 {
		mu.Lock()
		before := let
		mu.Unlock()
		s.Resync()
		check(t, s.WaitSynced(t.Context(), patience))
		mu.Lock()
		if let <= before {
			t.Errorf("synced by watch %d, which began before", let)
		}
		mu.Unlock()
	}
	// A batch that is taken in while its watch is ended does not count.
	ctx, cancel := context.WithCancel(t.Context())
	fresh := newSession(s.client, newLedger(t))
	fresh.restart = cancel
	fresh.Resync()
	fresh.caughtUp(ctx, 0)
	if fresh.synced {
		t.Error("a watch that was ended says that the log has caught up")
	}
}

// TestFormerAgent takes in the log of a destination that another agent serves, so that it can be told so.
func TestFormerAgent(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "")
	server, log := serveLog(h), newLedger(t)
	server.watch = func(_ *backupv1.WatchLedgerRequest, stream watchStream) error {
		if err := errors.Join(stream.opened(0, 2), stream.batch(h.batch(0))); err != nil {
			return err
		}
		return stream.stay()
	}
	s := start(t, server, log)
	h.isLike(log)
	if _, ok := s.Number(); ok {
		t.Error("it has a session to call with")
	}
	if _, err := s.Contents(t.Context(), ContentsRequest{}); !errors.Is(err, errNoSession) {
		t.Errorf("Contents = %v, want errNoSession", err)
	}
	if err := s.ReportFaults(t.Context(), nil); !errors.Is(err, errNoSession) {
		t.Errorf("ReportFaults = %v, want errNoSession", err)
	}
}

// TestStoreFailed ends the session where the store has to be opened again.
func TestStoreFailed(t *testing.T) {
	t.Parallel()
	broken := errors.New("no space left on device")
	db, err := store.Open("", store.Options{InMemory: true, Fault: func(point string) (bool, error) {
		if point == "append" {
			return false, broken
		}
		return true, nil
	}})
	check(t, err)
	t.Cleanup(func() { db.Close() })
	log, err := db.Ledger(testOrigin)
	check(t, err)
	h := newHistory(t, "")
	s := newSession(serve(t, serveLog(h)), log)
	ended := run(t, s)
	select {
	case err := <-ended:
		if !errors.Is(err, store.ErrFailed) {
			t.Errorf("Run = %v, want ErrFailed", err)
		}
	case <-time.After(patience):
		t.Fatal("the session goes on")
	}
	if err := s.WaitSynced(t.Context(), patience); !errors.Is(err, store.ErrFailed) {
		t.Errorf("WaitSynced = %v, want ErrFailed", err)
	}
}

// TestNoRoom takes in nothing while the agent's own volume has no room.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	full := errors.New("the volume of the agent's own state is full")
	h, log := newHistory(t, ""), newLedger(t)
	s := newSession(serve(t, serveLog(h)), log)
	s.room = func() error { return full }
	if err := s.watch(t.Context()); !errors.Is(err, full) {
		t.Errorf("the watch ends with %v, want %v", err, full)
	}
	isEmpty(t, log)
}
