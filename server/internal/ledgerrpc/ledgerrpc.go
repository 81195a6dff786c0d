// Package ledgerrpc serves LedgerService: it keeps an agent's log equal to the server's, hands out manifests, and takes
// receipts. What a receipt is worth, and who serves a destination, is decided in package sequencer.
package ledgerrpc

import (
	"context"
	"errors"
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
	// MaxBatchBytes is the greatest size of the entries in one message of WatchLedger, unless one alone is larger.
	MaxBatchBytes = 256 << 10
	// MaxReceiptsBytes is the greatest size of the receipts of one SubmitReceipts.
	MaxReceiptsBytes = 1 << 20
	// MaxWatches is how many watches one agent may have open, over all its destinations.
	MaxWatches = 64
)

// Service implements LedgerService.
type Service struct {
	backupv1.UnsafeLedgerServiceServer
	sequencers *sequencer.Set
	logger     *slog.Logger
	watches    watches
}

// New returns the service over the logs of all destinations. A nil logger is silent.
func New(sequencers *sequencer.Set, logger *slog.Logger) *Service {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Service{sequencers: sequencers, logger: logger, watches: newWatches()}
}

// Stop ends all watches and admits no more, so that a server can be stopped gracefully.
func (s *Service) Stop() { s.watches.stop() }

// SubmitReceipts appends receipts and answers each with a verdict.
func (s *Service) SubmitReceipts(ctx context.Context, req *backupv1.SubmitReceiptsRequest) (*backupv1.SubmitReceiptsResponse, error) {
	seq, _, err := authz.Destination(ctx, s.sequencers, req.GetOrigin())
	if err != nil {
		return nil, s.status(ctx, err)
	}
	sizeBytes := 0
	for _, leaf := range req.GetReceipts() {
		sizeBytes += len(leaf)
	}
	switch {
	case len(req.GetReceipts()) == 0:
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "there are no receipts in the request")
	case sizeBytes > MaxReceiptsBytes:
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonTooLarge, "the receipts have %d bytes together, more than %d", sizeBytes, MaxReceiptsBytes)
	}
	verdicts, err := seq.SubmitReceipts(ctx, req.GetSessionNumber(), req.GetReceipts())
	if err != nil {
		return nil, s.status(ctx, err)
	}
	res := &backupv1.SubmitReceiptsResponse{Verdicts: make([]backupv1.Verdict, len(verdicts)), ServerTime: wire.Time(time.Now())}
	for i, v := range verdicts {
		res.Verdicts[i] = backupv1.Verdict(v)
	}
	return res, nil
}

// ReadManifest streams the lines of a sealed manifest.
func (s *Service) ReadManifest(req *backupv1.ReadManifestRequest, stream grpc.ServerStreamingServer[backupv1.ReadManifestResponse]) error {
	err := s.readManifest(req, stream)
	return s.status(stream.Context(), err)
}

func (s *Service) readManifest(req *backupv1.ReadManifestRequest, stream grpc.ServerStreamingServer[backupv1.ReadManifestResponse]) error {
	seq, _, err := authz.Destination(stream.Context(), s.sequencers, req.GetOrigin())
	if err != nil {
		return err
	}
	if err := seq.CheckSession(req.GetSessionNumber()); err != nil {
		return err
	}
	m, ok := seq.Manifest(req.GetManifest())
	if !ok {
		return wire.Error(codes.NotFound, wire.ReasonNoManifest, "manifest %d of %s is not sealed", req.GetManifest(), seq.Origin())
	}
	next := req.GetStartIndex()
	if next < 0 || next > m.Items {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "manifest %d has %d lines, so there is none to start with at %d", m.Number, m.Items, next)
	}
	if next == m.Items {
		return stream.Send(&backupv1.ReadManifestResponse{StartIndex: next, Last: true})
	}
	for lines, err := range seq.Ledger().RawLines(m.Number, next) {
		if err != nil {
			return err
		}
		res := &backupv1.ReadManifestResponse{StartIndex: next, Lines: lines}
		for _, b := range lines {
			if b == '\n' {
				next++
			}
		}
		res.Last = next == m.Items
		if err := stream.Send(res); err != nil {
			return err
		}
	}
	return nil
}

// status turns err into what the caller sees, and logs what it cannot see.
func (s *Service) status(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	answer := rpcerror.Status(err)
	if !errors.Is(answer, err) && wire.Reason(answer) == "" && ctx.Err() == nil {
		s.logger.LogAttrs(ctx, slog.LevelError, "call failed", slog.Any("error", err))
	}
	return answer
}
