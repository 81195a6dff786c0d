package ledgerrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/rpcerror"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

const (
	// MaxOfferedBytes is the greatest size of the lines, or of the entries, in one message of OfferLedger, unless one entry
	// alone is larger.
	MaxOfferedBytes = 256 << 10
	// offerPause is how long the caller may be silent in the middle of an offer.
	offerPause = time.Minute
	// offerTime is how long an offer may take in all.
	offerTime = 6 * time.Hour
)

// errSilent ends an offer whose caller does not go on.
var errSilent = errors.New("the offer did not go on in time")

// OfferLedger takes the tail of a log that the server once signed and has lost.
func (s *Service) OfferLedger(stream grpc.BidiStreamingServer[backupv1.OfferLedgerRequest, backupv1.OfferLedgerResponse]) error {
	ctx, cancel := context.WithTimeoutCause(stream.Context(), offerTime, errSilent)
	defer cancel()
	o := &offering{Service: s, ctx: ctx, stream: stream, steps: make(chan step)}
	// The goroutine ends with the call: what it waits for fails then.
	go o.receive()
	err := badKeptHead(o.run())
	if errors.Is(err, errSilent) {
		return wire.RetryError(codes.Unavailable, wire.ReasonTryLater, rpcerror.ComeBack, "%v: offer again", err)
	}
	return s.status(stream.Context(), err)
}

// offering is one call of OfferLedger.
type offering struct {
	*Service
	ctx    context.Context // of the call
	stream grpc.BidiStreamingServer[backupv1.OfferLedgerRequest, backupv1.OfferLedgerResponse]
	steps  chan step
}

type step struct {
	message *backupv1.OfferLedgerRequest
	err     error
}

func (o *offering) receive() {
	for {
		message, err := o.stream.Recv()
		select {
		case o.steps <- step{message, err}:
		case <-o.stream.Context().Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// next returns the caller's next message.
func (o *offering) next() (*backupv1.OfferLedgerRequest, error) {
	timer := time.NewTimer(offerPause)
	defer timer.Stop()
	select {
	case step := <-o.steps:
		if errors.Is(step.err, io.EOF) {
			return nil, fmt.Errorf("%w: it ends before it is complete", sequencer.ErrBadOffer)
		}
		return step.message, step.err
	case <-timer.C:
		return nil, errSilent
	case <-o.ctx.Done():
		return nil, context.Cause(o.ctx)
	}
}

func (o *offering) run() error {
	first, err := o.next()
	if err != nil {
		return err
	}
	opening := first.GetOpening() // a message that is none names no destination
	seq, role, standing, err := authz.EverDestination(o.ctx, o.sequencers, opening.GetOrigin())
	if err != nil {
		return err
	}
	if standing == authz.Stranger && len(opening.GetHead()) == 0 { // the head is all that a stranger has to show
		return authz.NotAssigned(role, seq)
	}
	if len(opening.GetProcessId()) != 16 {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the opening of an offer names a process by %d bytes instead of 16", len(opening.GetProcessId()))
	}
	if standing == authz.Current {
		if _, err := seq.OpenSession([16]byte(opening.GetProcessId())); err != nil {
			return err
		}
	}
	speaks, err := seq.Speaks(role.Name)
	if err != nil {
		return err
	}
	taken, err := o.take(seq, opening.GetHead(), sequencer.Claim{
		Kept: opening.GetKeptHead(), KeptKnown: opening.GetKeptHeadKnown(), Speaks: speaks,
	})
	if err != nil {
		return err
	}
	if taken {
		o.logger.LogAttrs(o.ctx, slog.LevelInfo, "offer taken", slog.String("origin", string(seq.Origin())), slog.String("agent", role.Name))
	}
	result := &backupv1.OfferResult{Taken: taken, Position: wire.Position(seq.Ledger().Position())}
	return o.stream.Send(&backupv1.OfferLedgerResponse{Step: &backupv1.OfferLedgerResponse_Result{Result: result}})
}

// take takes the offer of a log up to a head. When it returns, another may begin.
func (o *offering) take(seq *sequencer.Sequencer, head []byte, claim sequencer.Claim) (taken bool, err error) {
	offer, err := seq.Offer(o.ctx, head, claim)
	if err != nil {
		return false, err
	}
	defer offer.Close()
	if err := o.takeIn(offer); err != nil {
		return false, err
	}
	// It is all here now, and may take longer than the caller waits: it would come again, and again not be waited for.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(o.ctx))
	defer cancel(nil)
	defer context.AfterFunc(o.watches.stopping, func() { cancel(errStopped) })()
	return offer.Take(ctx, time.Now())
}

// takeIn finds out where the logs part, and takes in what follows.
func (o *offering) takeIn(offer *sequencer.Offer) error {
	for size, more := offer.Probe(); more; size, more = offer.Probe() {
		err := o.stream.Send(&backupv1.OfferLedgerResponse{Step: &backupv1.OfferLedgerResponse_ProbeSize{ProbeSize: size}})
		if err != nil {
			return err
		}
		message, err := o.next()
		if err != nil {
			return err
		}
		at, root, err := wire.ParsePosition(message.GetPosition())
		if err != nil {
			return fmt.Errorf("%w: the position: %w", sequencer.ErrBadOffer, err)
		}
		if err := offer.Answer(at, root); err != nil {
			return err
		}
	}
	from, wanted, err := offer.First()
	if err != nil || !wanted {
		return err
	}
	if err := o.stream.Send(&backupv1.OfferLedgerResponse{Step: &backupv1.OfferLedgerResponse_FirstSequence{FirstSequence: from}}); err != nil {
		return err
	}
	for {
		message, err := o.next()
		if err != nil {
			return err
		}
		if message.GetEnd() != nil {
			return nil
		}
		if err := add(offer, message); err != nil {
			return err
		}
	}
}

// add takes in one message with lines or entries.
func add(offer *sequencer.Offer, message *backupv1.OfferLedgerRequest) error {
	if lines := message.GetLines(); lines != nil {
		if len(lines.GetLines()) > MaxOfferedBytes {
			return fmt.Errorf("%w: %d bytes of lines in one message", sequencer.ErrBadOffer, len(lines.GetLines()))
		}
		return offer.AddLines(lines.GetManifest(), lines.GetStartIndex(), lines.GetLines(), lines.GetLast())
	}
	entries := message.GetEntries()
	sizeBytes := 0
	for _, leaf := range entries.GetEntries() {
		sizeBytes += len(leaf)
	}
	if len(entries.GetEntries()) == 0 || len(entries.GetEntries()) > 1 && sizeBytes > MaxOfferedBytes {
		return fmt.Errorf("%w: a message of %d entries with %d bytes", sequencer.ErrBadOffer, len(entries.GetEntries()), sizeBytes)
	}
	return offer.AddEntries(entries.GetAfterSequence(), entries.GetEntries())
}
