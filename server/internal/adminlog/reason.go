package adminlog

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/wolkvox/backup/internal/wire"
)

// reasonOf reads why a caller does what he does. The error is a status.
func reasonOf(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, wire.ReasonHeader)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "there are %d headers %s; one says why", len(values), wire.ReasonHeader)
	}
	reason, err := wire.ParseReason(values[0])
	if err != nil {
		return "", wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the header %s: %v", wire.ReasonHeader, err)
	}
	return reason, nil
}
