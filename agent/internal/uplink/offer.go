package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

const (
	// maxOfferedBytes is how much of entries or lines one message of an offer carries.
	maxOfferedBytes = 256 << 10
	// maxProbes bounds a server that never finds where the logs part; a binary search over 2^53 sizes needs 53.
	maxProbes = 128
)

// handOver offers the server what this agent holds, because wanted says that the server lacks it. It returns errResync
// where that changed the server's log, and otherwise why the two do not come together.
func (s *Session) handOver(ctx context.Context, wanted error) error {
	s.update(func() { s.problem = wanted })
	s.slog.LogAttrs(ctx, slog.LevelWarn, "the server lacks entries of the log, they are offered to it")
	taken, err := s.offer(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("offer the log to the server: %w", err)
	case !taken:
		return fmt.Errorf("%w; it has all that this agent holds", wanted)
	}
	s.slog.LogAttrs(ctx, slog.LevelInfo, "the server took over what it lacked of the log")
	return errResync
}

// offer makes one offer of the whole log, and returns whether the server's log was changed by it. It may be interrupted
// anywhere and made again.
func (s *Session) offer(ctx context.Context) (taken bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	calls, err := s.client.ledger.OfferLedger(ctx)
	if err != nil {
		cancel(nil)
		return false, sessionError(err)
	}
	o := &offer{log: s.log, calls: calls, answers: &stream[backupv1.OfferLedgerResponse]{calls, ctx, cancel}}
	defer o.answers.close()
	kept, known := s.keptHead(ctx)
	o.size, _ = s.log.Position()
	opening := &backupv1.OfferOpening{
		Origin: string(s.log.Origin()), ProcessId: s.processID[:], Head: s.log.Head(), KeptHead: kept, KeptHeadKnown: known,
	}
	if err := o.send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Opening{Opening: opening}}); err != nil {
		return false, err
	}
	return o.run()
}

// offer is one call of OfferLedger. It belongs to the session's goroutine, which alone appends to the log.
type offer struct {
	log     *store.Ledger
	size    int64 // of the log
	calls   grpc.BidiStreamingClient[backupv1.OfferLedgerRequest, backupv1.OfferLedgerResponse]
	answers *stream[backupv1.OfferLedgerResponse]
}

// run answers what the server wants to know, and sends what it wants to have.
func (o *offer) run() (taken bool, err error) {
	sent := false
	for probes := 0; ; {
		message, err := o.answers.next(stallTimeout)
		if err != nil {
			return false, err
		}
		switch step := message.GetStep().(type) {
		case *backupv1.OfferLedgerResponse_ProbeSize:
			if probes++; probes > maxProbes || sent {
				return false, errors.New("the server asks for positions of the log without end")
			}
			if err := o.position(step.ProbeSize); err != nil {
				return false, err
			}
		case *backupv1.OfferLedgerResponse_FirstSequence:
			if sent {
				return false, errors.New("the server asks for the same entries twice")
			}
			sent = true
			if err := o.tail(step.FirstSequence); err != nil {
				return false, err
			}
		case *backupv1.OfferLedgerResponse_Result:
			return step.Result.GetTaken(), nil
		default:
			return false, errors.New("the server answered an offer with what this version does not know")
		}
	}
}

// send sends a message. Where the server has ended the call, its own word is the error.
func (o *offer) send(m *backupv1.OfferLedgerRequest) error {
	stalled := time.AfterFunc(stallTimeout, func() { o.answers.cancel(&stalledError{stallTimeout}) })
	defer stalled.Stop()
	err := o.calls.Send(m)
	if !errors.Is(err, io.EOF) {
		return err
	}
	if _, err = o.answers.next(callTimeout); err != nil {
		return err
	}
	return errEnded
}

func (o *offer) position(size int64) error {
	root, err := o.log.RootAt(size)
	if err != nil {
		return fmt.Errorf("the server asks for the position at %d of %d entries: %w", size, o.size, err)
	}
	return o.send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Position{Position: wire.Position(size, root)}})
}

// tail sends everything from an entry on, the lines of each manifest before its sealed, and says that it has ended.
func (o *offer) tail(first int64) error {
	if first < 0 || first > o.size {
		return fmt.Errorf("the server asks for entry %d of %d", first, o.size)
	}
	batch := &backupv1.OfferedEntries{AfterSequence: first}
	sizeBytes := 0
	flush := func() error {
		if len(batch.Entries) == 0 {
			return nil
		}
		err := o.send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Entries{Entries: batch}})
		batch, sizeBytes = &backupv1.OfferedEntries{AfterSequence: batch.AfterSequence + int64(len(batch.Entries))}, 0
		return err
	}
	for leaf, err := range o.log.Entries(first, o.size) {
		if err != nil {
			return err
		}
		entry, err := ledger.ParseEntry(leaf)
		if err != nil {
			return err
		}
		sealed, isSealed := entry.Body.(ledger.Sealed)
		if isSealed || sizeBytes+len(leaf) > maxOfferedBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		if isSealed {
			if err := o.lines(sealed.Manifest); err != nil {
				return err
			}
		}
		batch.Entries = append(batch.Entries, leaf)
		sizeBytes += len(leaf)
	}
	if err := flush(); err != nil {
		return err
	}
	return o.send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_End{End: &backupv1.OfferEnd{}}})
}

// lines sends the lines of a manifest; of an empty one, the word that they end.
func (o *offer) lines(manifest int64) error {
	message := &backupv1.OfferedLines{Manifest: manifest}
	next := int64(0)
	for piece, err := range o.log.RawLines(manifest, 0) {
		if err != nil {
			return err
		}
		if message.Lines != nil {
			if err := o.sendLines(message); err != nil {
				return err
			}
		}
		message = &backupv1.OfferedLines{Manifest: manifest, StartIndex: next, Lines: piece}
		next += int64(bytes.Count(piece, []byte{'\n'}))
	}
	message.Last = true
	return o.sendLines(message)
}

func (o *offer) sendLines(m *backupv1.OfferedLines) error {
	return o.send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Lines{Lines: m}})
}
