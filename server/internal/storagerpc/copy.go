package storagerpc

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/rpcerror"
	"github.com/wolkvox/backup/server/internal/storage"
)

// Files are made visible, and answered for, after so many of them or so many bytes.
const (
	roundFiles = 512
	roundBytes = 64 << 20
)

// CopyItems copies items from the tenant's sources into their place.
func (s *Service) CopyItems(req *backupv1.CopyItemsRequest, stream grpc.ServerStreamingServer[backupv1.CopyItemsResponse]) error {
	ctx := stream.Context()
	seq, _, err := authz.Destination(ctx, s.sequencers, req.GetOrigin())
	if err != nil {
		return err
	}
	place, _, err := s.place(ctx, originOf(seq.Origin()))
	if err != nil {
		return err
	}
	m, ok := seq.Manifest(req.GetManifest())
	if !ok {
		return wire.Error(codes.NotFound, wire.ReasonNoManifest, "manifest %d of %s is not sealed", req.GetManifest(), seq.Origin())
	}
	indexes, err := wire.ParseIndexes(req.GetIndexes())
	if err != nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "%v", err)
	}
	if indexes.IsEmpty() || indexes.Max() >= m.Items {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "manifest %d has %d items; %d of them, up to index %d, are asked for", m.Number, m.Items, indexes.Len(), indexes.Max())
	}
	leave, err := enter(ctx, s.copying)
	if err != nil {
		return err
	}
	defer leave()
	reading, err := s.contents.Read(ctx, seq, m.Number, indexes)
	if err != nil {
		return rpcerror.Status(err)
	}
	defer reading.Close()
	c := &copying{service: s, place: place, reading: reading, stream: stream}
	if err := c.run(ctx); err != nil {
		return s.refused(ctx, err)
	}
	return stream.Send(&backupv1.CopyItemsResponse{Complete: true})
}

// originOf names the place of a log.
type originOf ledger.Origin

func (o originOf) GetTenant() string      { return ledger.Origin(o).Tenant() }
func (o originOf) GetDestination() string { return ledger.Origin(o).Destination() }

// copying is one call of CopyItems.
type copying struct {
	service *Service
	place   *storage.Place
	reading *contentrpc.Reading
	stream  grpc.ServerStreamingServer[backupv1.CopyItemsResponse]
}

// wanted is one item to be copied.
type wanted struct {
	index int64
	line  ledger.Line
}

func (c *copying) run(ctx context.Context) error {
	var round []wanted
	var sizeBytes int64
	for index, line := range c.reading.Lines() {
		round = append(round, wanted{index, line})
		sizeBytes += line.Item.Digest.SizeBytes
		if len(round) < roundFiles && sizeBytes < roundBytes {
			continue
		}
		if err := c.round(ctx, round); err != nil {
			return err
		}
		round, sizeBytes = round[:0], 0
	}
	if err := c.reading.Err(); err != nil {
		return err
	}
	return c.round(ctx, round)
}

// round copies some items, makes them visible, and answers for them.
func (c *copying) round(ctx context.Context, items []wanted) (err error) {
	if len(items) == 0 {
		return nil
	}
	batch, err := c.place.Begin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, batch.Discard()) }()
	verdicts := make([]backupv1.CopyVerdict, len(items))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(filesAtOnce)
	for i, item := range items {
		group.Go(func() (err error) {
			verdicts[i], err = c.stage(inner, batch, item)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	outcomes, err := batch.Publish()
	if err != nil {
		return err
	}
	by := map[backupv1.CopyVerdict][]ledger.Range{}
	for i, item := range items {
		if verdicts[i] == backupv1.CopyVerdict_COPY_VERDICT_STORED {
			verdicts[i] = c.verdict(ctx, item, outcomes[item.line.Item.Path])
		}
		by[verdicts[i]] = append(by[verdicts[i]], ledger.Range{First: item.index, Last: item.index})
	}
	answer := &backupv1.CopyItemsResponse{}
	for _, verdict := range slices.Sorted(maps.Keys(by)) {
		answer.Outcomes = append(answer.Outcomes, &backupv1.CopyOutcome{Indexes: wire.Indexes(ledger.NewSet(by[verdict]...)), Verdict: verdict})
	}
	return c.stream.Send(answer)
}

// stage stores one item out of sight. The error ends the call.
func (c *copying) stage(ctx context.Context, batch *storage.Batch, item wanted) (backupv1.CopyVerdict, error) {
	// A name that is taken is known before anything is copied, as when a call that was cut off is repeated.
	if !item.line.Forgotten {
		if _, err := c.place.Stat(item.line.Item.Path); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = fs.ErrExist
			}
			return c.verdict(ctx, item, err), nil
		}
	}
	contents, unavailable, err := c.reading.Open(item.index, item.line)
	if err != nil {
		return 0, err
	}
	if unavailable != 0 {
		return unavailability(unavailable), nil
	}
	defer contents.Close()
	err = batch.Stage(ctx, item.line.Item.Path, item.line.Item.Digest, contents)
	if err != nil && ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if contents.Failed() || errors.Is(err, backup.ErrDigest) {
		return unavailability(contents.Refused()), nil
	}
	return c.verdict(ctx, item, err), nil
}

// unavailability is what FetchContents would say, as a verdict.
func unavailability(u backupv1.Unavailability) backupv1.CopyVerdict {
	switch u {
	case backupv1.Unavailability_UNAVAILABILITY_SOURCE_CHANGED:
		return backupv1.CopyVerdict_COPY_VERDICT_SOURCE_CHANGED
	case backupv1.Unavailability_UNAVAILABILITY_NOT_PENDING:
		return backupv1.CopyVerdict_COPY_VERDICT_NOT_PENDING
	}
	return backupv1.CopyVerdict_COPY_VERDICT_SOURCE_UNREADABLE
}

// verdict is what the store's answer for an item means.
func (c *copying) verdict(ctx context.Context, item wanted, err error) backupv1.CopyVerdict {
	switch {
	case err == nil:
		return backupv1.CopyVerdict_COPY_VERDICT_STORED
	case errors.Is(err, storage.ErrObstructed):
		return backupv1.CopyVerdict_COPY_VERDICT_NAME_OBSTRUCTED
	case errors.Is(err, fs.ErrExist):
		return backupv1.CopyVerdict_COPY_VERDICT_NAME_TAKEN
	case errors.Is(err, storage.ErrQuota):
		return backupv1.CopyVerdict_COPY_VERDICT_QUOTA
	}
	c.service.logger.LogAttrs(ctx, slog.LevelError, "item not stored", slog.Int64("index", item.index), slog.Any("error", err))
	switch {
	case errors.Is(err, storage.ErrFull):
		return backupv1.CopyVerdict_COPY_VERDICT_FULL
	case errors.Is(err, storage.ErrReadBack):
		return backupv1.CopyVerdict_COPY_VERDICT_READ_BACK
	}
	return backupv1.CopyVerdict_COPY_VERDICT_FAILED
}
