package ledgerrpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/rpcerror"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// errReplaced ends a watch whose own process opened a new one: this one's connection was lost without a word.
var errReplaced = errors.New("the same process opened a new watch")

// errReassigned ends the watch of an agent whose place another one took.
var errReassigned = errors.New("another agent serves the destination now")

// errStopped ends the watches of a service that was stopped.
var errStopped = errors.New("the server is being stopped")

// errChanged ends a watch of a log whose end was replaced, or that came back from nothing.
var errChanged = errors.New("the log was recovered meanwhile: compare heads again")

// WatchLedger opens a session and streams what the caller's log lacks, now and as it happens.
func (s *Service) WatchLedger(req *backupv1.WatchLedgerRequest, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	err := s.watch(req, stream)
	switch {
	case errors.Is(err, errReplaced):
		return wire.Error(codes.Aborted, wire.ReasonReplaced, "%v", err)
	case errors.Is(err, errReassigned):
		return wire.Error(codes.PermissionDenied, wire.ReasonNotAssigned, "%v", err)
	case errors.Is(err, errChanged):
		return wire.RetryError(codes.Unavailable, wire.ReasonTryLater, 0, "%v", err)
	case errors.Is(err, errStopped):
		return wire.RetryError(codes.Unavailable, wire.ReasonShuttingDown, rpcerror.ComeBack, "%v", err)
	}
	return s.status(stream.Context(), err)
}

func (s *Service) watch(req *backupv1.WatchLedgerRequest, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	seq, role, standing, err := authz.EverDestination(stream.Context(), s.sequencers, req.GetOrigin())
	if err != nil {
		return err
	}
	if err := admit(stream.Context(), seq, role, standing, req.GetKeptHead()); err != nil {
		return err
	}
	if len(req.GetProcessId()) != 16 {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the process identifier has %d bytes instead of 16", len(req.GetProcessId()))
	}
	size, root, err := wire.ParsePosition(req.GetPosition())
	if err != nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "%v", err)
	}
	at := time.Now()
	session, err := openSession(stream.Context(), seq, role, standing, req, at)
	if err != nil {
		return err
	}
	ctx, done, err := s.watches.begin(stream.Context(), role, seq.Origin(), session)
	if err != nil {
		return err
	}
	defer done()
	speaks, err := seq.Speaks(role.Name)
	if err != nil {
		return err
	}
	replaced := seq.Replaced()
	changed := seq.Ledger().Changed()
	recovering, err := seq.Compare(ctx, sequencer.Claim{
		Size: size, Root: root, Kept: req.GetKeptHead(), KeptKnown: req.GetKeptHeadKnown(), Speaks: speaks,
	}, at)
	if err != nil {
		return badKeptHead(err)
	}
	now, _ := seq.Ledger().Position()
	opened := &backupv1.SessionOpened{SessionNumber: session, ServerTime: wire.Time(at), Size: now, Recovering: recovering}
	if standing == authz.Stranger {
		opened.Size = size // it is shown nothing
	}
	if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Opened{Opened: opened}}); err != nil {
		return err
	}
	if standing == authz.Stranger || now == 0 {
		return wait(ctx, changed)
	}
	return follow(ctx, seq, session, size, replaced, stream)
}

// admit lets a stranger go on only where the log may have lost what it knew of it: while it recovers, or once it is shown a
// head that the server signed and the log does not contain.
func admit(ctx context.Context, seq *sequencer.Sequencer, role identity.Role, standing authz.Standing, kept []byte) error {
	if standing != authz.Stranger {
		return nil
	}
	recovering, err := seq.Recovering()
	if err != nil || recovering {
		return err
	}
	lost, err := seq.Shown(ctx, kept)
	if _, refused := errors.AsType[*ledger.RefusedError](err); refused || err == nil && !lost {
		return authz.NotAssigned(role, seq)
	}
	return err
}

// openSession returns the number of the session of the agent that serves the destination. For all others it is 0: they
// compete with nobody.
func openSession(ctx context.Context, seq *sequencer.Sequencer, role identity.Role, standing authz.Standing, req *backupv1.WatchLedgerRequest, at time.Time) (int64, error) {
	if standing != authz.Current {
		return 0, nil
	}
	if req.GetSuperseded() {
		if err := seq.Cloned(ctx, role.Name, at); err != nil {
			return 0, err
		}
		return 0, sequencer.ErrSuperseded
	}
	return seq.OpenSession([16]byte(req.GetProcessId()))
}

// badKeptHead says of a kept head that is none of this log's that it is the request that is wrong, and what people can do: as
// long as the file is there, each watch ends like this.
func badKeptHead(err error) error {
	if refused, ok := errors.AsType[*ledger.RefusedError](err); ok && !errors.Is(err, sequencer.ErrBadOffer) {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the head kept at the destination, .wolkvox/head, is none that this server signed for the log (%v): "+
			"if the server was restored, restore it from its latest backup, which has the log's later keys; "+
			"if the file was altered or is another destination's, move it away, and the agent writes it again", refused)
	}
	return err
}

// wait holds a watch open that is sent nothing, until the log changed: the caller watches again then.
func wait(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return errChanged
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// follow sends what comes after the first size entries until ctx ends, or entries that were sent may have been replaced. It
// begins with a head even if there is nothing to send, so that the caller has one to cosign.
func follow(ctx context.Context, seq *sequencer.Sequencer, session, size, replaced int64, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	for first := true; ; first = false {
		changed := seq.Ledger().Changed()
		until, _ := seq.Ledger().Position()
		for size < until || first {
			batch, err := nextBatch(seq, size, until)
			if seq.Replaced() != replaced {
				return errChanged
			}
			if err != nil {
				return err
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Batch{Batch: batch}}); err != nil {
				return err
			}
			size += int64(len(batch.GetEntries()))
			first = false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if seq.Replaced() != replaced {
			return errChanged
		}
		if session > 0 {
			if err := seq.Superseded(session); err != nil {
				return err
			}
		}
	}
}

// nextBatch returns entries from index from on, with the head of exactly the log after them.
func nextBatch(seq *sequencer.Sequencer, from, until int64) (*backupv1.EntryBatch, error) {
	batch := &backupv1.EntryBatch{AfterSequence: from}
	sizeBytes := 0
	for leaf, err := range seq.Ledger().Entries(from, until) {
		if err != nil {
			return nil, err
		}
		if len(batch.Entries) > 0 && sizeBytes+len(leaf) > MaxBatchBytes {
			break
		}
		batch.Entries = append(batch.Entries, leaf)
		sizeBytes += len(leaf)
	}
	head, _, err := seq.HeadAt(from + int64(len(batch.Entries)))
	if err != nil {
		return nil, err
	}
	batch.Head = head
	return batch, nil
}

// watches are those that are open. Its methods may be called concurrently.
type watches struct {
	mu       sync.Mutex // guards what follows
	byAgent  map[identity.Role]int
	byOrigin map[sessionOf]*openWatch // of the agents that serve them
	open     map[*openWatch]bool

	stopping context.Context // ends with errStopped
	stopNow  context.CancelCauseFunc
}

// sessionOf names a session.
type sessionOf struct {
	origin ledger.Origin
	number int64
}

type openWatch struct {
	role identity.Role
	end  context.CancelCauseFunc
}

func newWatches() watches {
	stopping, stopNow := context.WithCancelCause(context.Background())
	return watches{
		byAgent: map[identity.Role]int{}, byOrigin: map[sessionOf]*openWatch{}, open: map[*openWatch]bool{},
		stopping: stopping, stopNow: stopNow,
	}
}

func (w *watches) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopNow(errStopped)
	for watch := range w.open {
		watch.end(errStopped)
	}
}

// begin admits a watch; done has to be called at its end. A session above 0 ends the watch that it had open, which belongs to
// a connection that was lost, and those of agents that served the destination before.
func (w *watches) begin(parent context.Context, role identity.Role, origin ledger.Origin, session int64) (ctx context.Context, done func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := context.Cause(w.stopping); err != nil {
		return nil, nil, err
	}
	of := sessionOf{origin, session}
	if earlier := w.byOrigin[of]; earlier != nil {
		earlier.end(errReplaced)
	}
	for other, watch := range w.byOrigin {
		if session > 0 && other.origin == origin && watch.role != role {
			watch.end(errReassigned)
		}
	}
	if w.byAgent[role] >= MaxWatches {
		return nil, nil, wire.Error(codes.ResourceExhausted, wire.ReasonTooManyWatches, "agent %s has %d watches open: close one first", role.Name, MaxWatches)
	}
	ctx, end := context.WithCancelCause(parent)
	own := &openWatch{role, end}
	w.byAgent[role]++
	w.open[own] = true
	if session > 0 {
		w.byOrigin[of] = own
	}
	return ctx, func() {
		end(nil)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.open, own)
		if w.byAgent[role]--; w.byAgent[role] == 0 {
			delete(w.byAgent, role)
		}
		if w.byOrigin[of] == own {
			delete(w.byOrigin, of)
		}
	}, nil
}
