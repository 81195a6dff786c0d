// Package rpcerror turns what the parts of the server return into the statuses that the services for agents promise. It
// does not log and does not retry.
package rpcerror

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/source"
)

// ComeBack is after how long an agent is asked to come back where the server cannot say better.
const ComeBack = 15 * time.Second

// NoRoomComeBack is after how long an agent is asked to come back where the server's volume is full.
const NoRoomComeBack = time.Minute

// Status returns err as a status. What already is one stays as it is; what no agent can do anything about is INTERNAL.
func Status(err error) error {
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok && s.Code() != codes.Unknown {
		return err
	}
	switch {
	case errors.Is(err, sequencer.ErrSuperseded):
		return wire.Error(codes.Aborted, wire.ReasonSuperseded, "%v: stop this one, or the other", err)
	case errors.Is(err, sequencer.ErrOfferWanted):
		return wire.Error(codes.FailedPrecondition, wire.ReasonOfferWanted, "%v: the two logs have to be reconciled first", err)
	case errors.Is(err, sequencer.ErrNoSession):
		return wire.Error(codes.Aborted, wire.ReasonNoSession, "%v: watch again", err)
	case errors.Is(err, sequencer.ErrFork):
		return wire.Error(codes.FailedPrecondition, wire.ReasonFork, "%v", err)
	case errors.Is(err, sequencer.ErrTailLost):
		return wire.Error(codes.FailedPrecondition, wire.ReasonTailLost, "%v", err)
	case errors.Is(err, sequencer.ErrBadOffer):
		return wire.Error(codes.InvalidArgument, wire.ReasonBadOffer, "%v", err)
	case errors.Is(err, sequencer.ErrOffering):
		return wire.RetryError(codes.ResourceExhausted, wire.ReasonTryLater, ComeBack, "%v: ask again later", err)
	case errors.Is(err, sequencer.ErrRecovering):
		return wire.RetryError(codes.Unavailable, wire.ReasonTryLater, ComeBack, "%v", err)
	case errors.Is(err, sequencer.ErrReceipt):
		return wire.Error(codes.InvalidArgument, wire.ReasonBadReceipt, "%v", err)
	case errors.Is(err, store.ErrNoRoom), errors.Is(err, registry.ErrNoRoom):
		return wire.RetryError(codes.Unavailable, wire.ReasonTryLater, NoRoomComeBack, "the server has no room to keep anything at the moment: ask again later")
	case errors.Is(err, store.ErrNotFound):
		return wire.Error(codes.NotFound, wire.ReasonNoManifest, "%v", err)
	case errors.Is(err, source.ErrUnreachable):
		return wire.RetryError(codes.Unavailable, wire.ReasonSourceUnreachable, ComeBack, "the recordings cannot be reached at the moment: ask again later")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Internal, "the server could not do it; its own log says why")
}
