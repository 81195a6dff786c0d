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

// WatchLedger opens a session and streams what the caller's log lacks, now and as it happens.
func (s *Service) WatchLedger(req *backupv1.WatchLedgerRequest, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	err := s.watch(req, stream)
	switch {
	case errors.Is(err, errReplaced):
		return wire.Error(codes.Aborted, wire.ReasonReplaced, "%v", err)
	case errors.Is(err, errReassigned):
		return wire.Error(codes.PermissionDenied, wire.ReasonNotAssigned, "%v", err)
	case errors.Is(err, errStopped):
		return wire.RetryError(codes.Unavailable, wire.ReasonShuttingDown, rpcerror.ComeBack, "%v", err)
	}
	return s.status(stream.Context(), err)
}

func (s *Service) watch(req *backupv1.WatchLedgerRequest, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	seq, role, current, err := authz.EverDestination(stream.Context(), s.sequencers, req.GetOrigin())
	if err != nil {
		return err
	}
	if len(req.GetProcessId()) != 16 {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the process identifier has %d bytes instead of 16", len(req.GetProcessId()))
	}
	size, root, err := wire.ParsePosition(req.GetPosition())
	if err != nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "%v", err)
	}
	var session int64 // of an agent that served the destination before: it may read, and competes with nobody
	if current {
		if session, err = seq.OpenSession([16]byte(req.GetProcessId())); err != nil {
			return err
		}
		if err := seq.CheckSession(session); err != nil {
			return err
		}
	}
	ctx, done, err := s.watches.begin(stream.Context(), role, seq.Origin(), session)
	if err != nil {
		return err
	}
	defer done()
	if err := seq.Compare(size, root, req.GetKeptHead()); err != nil {
		if refused, ok := errors.AsType[*ledger.RefusedError](err); ok {
			return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the kept head: %v", refused)
		}
		return err
	}
	now, _ := seq.Ledger().Position()
	opened := &backupv1.SessionOpened{SessionNumber: session, ServerTime: wire.Time(time.Now()), Size: now}
	if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Opened{Opened: opened}}); err != nil {
		return err
	}
	return follow(ctx, seq, size, stream)
}

// follow sends what comes after the first size entries until ctx ends. It begins with a head even if there is nothing
// to send, so that the caller has one to cosign.
func follow(ctx context.Context, seq *sequencer.Sequencer, size int64, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	for first := true; ; first = false {
		changed := seq.Ledger().Changed()
		until, _ := seq.Ledger().Position()
		for size < until || first {
			batch, err := nextBatch(seq, size, until)
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
	byOrigin map[ledger.Origin]*openWatch // of the agents that serve them
	open     map[*openWatch]bool
	stopped  bool
}

type openWatch struct {
	role    identity.Role
	session int64
	end     context.CancelCauseFunc
}

// instead returns why, of two watches of agents that serve the destination, one has to end: who has the other role took
// the other's place.
func (w *openWatch) instead(role identity.Role) error {
	if w.role != role {
		return errReassigned
	}
	return sequencer.ErrSuperseded
}

func newWatches() watches {
	return watches{byAgent: map[identity.Role]int{}, byOrigin: map[ledger.Origin]*openWatch{}, open: map[*openWatch]bool{}}
}

func (w *watches) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for watch := range w.open {
		watch.end(errStopped)
	}
}

// begin admits a watch; done has to be called at its end. A session above 0 ends the watch that the destination's agent
// had open, which belongs to an earlier session or to a connection that was lost.
func (w *watches) begin(parent context.Context, role identity.Role, origin ledger.Origin, session int64) (ctx context.Context, done func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return nil, nil, errStopped
	}
	if session > 0 {
		if earlier := w.byOrigin[origin]; earlier != nil && earlier.session > session {
			return nil, nil, earlier.instead(role)
		} else if earlier != nil && earlier.session == session {
			earlier.end(errReplaced)
		} else if earlier != nil {
			earlier.end(earlier.instead(role))
		}
	}
	if w.byAgent[role] >= MaxWatches {
		return nil, nil, wire.Error(codes.ResourceExhausted, wire.ReasonTooManyWatches, "agent %s has %d watches open: close one first", role.Name, MaxWatches)
	}
	ctx, end := context.WithCancelCause(parent)
	own := &openWatch{role, session, end}
	w.byAgent[role]++
	w.open[own] = true
	if session > 0 {
		w.byOrigin[origin] = own
	}
	return ctx, func() {
		end(nil)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.open, own)
		if w.byAgent[role]--; w.byAgent[role] == 0 {
			delete(w.byAgent, role)
		}
		if w.byOrigin[origin] == own {
			delete(w.byOrigin, origin)
		}
	}, nil
}
