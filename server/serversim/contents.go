package serversim

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/rpcerror"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// contents serves recordings from memory as the content service does from files.
type contents struct {
	backupv1.UnimplementedContentServiceServer
	server *Server
}

// pieceBytes is how much of a recording one segment carries, little enough for streams to break inside.
const pieceBytes = 300

// FetchContents implements ContentService.
func (c *contents) FetchContents(req *backupv1.FetchContentsRequest, stream grpc.ServerStreamingServer[backupv1.FetchContentsResponse]) error {
	return rpcerror.Status(c.fetch(req, stream))
}

func (c *contents) fetch(req *backupv1.FetchContentsRequest, stream grpc.ServerStreamingServer[backupv1.FetchContentsResponse]) error {
	seq, _, err := authz.Destination(stream.Context(), c.server.set, req.GetOrigin())
	if err != nil {
		return err
	}
	if err := seq.CheckSession(req.GetSessionNumber()); err != nil {
		return err
	}
	m, ok := seq.Manifest(req.GetManifest())
	if !ok {
		return wire.Error(codes.NotFound, wire.ReasonNoManifest, "manifest %d is not sealed", req.GetManifest())
	}
	indexes, err := wire.ParseIndexes(req.GetIndexes())
	if err != nil || indexes.IsEmpty() || indexes.Max() >= m.Items {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "the indexes %v: %v", indexes, err)
	}
	states, err := seq.Ledger().States(m.Number)
	if err != nil {
		return err
	}
	wanted := states.Among(indexes, backup.Pending, backup.Expired)
	offset := req.GetReadOffsetBytes()
	for index := range indexes.All() {
		if err := c.serve(seq, m.Number, index, wanted.Contains(index), offset, stream); err != nil {
			return err
		}
		offset = 0
	}
	return stream.Send(&backupv1.FetchContentsResponse{Complete: true})
}

// serve sends one recording from offset on, or why it cannot be had.
func (c *contents) serve(seq *sequencer.Sequencer, manifest, index int64, wanted bool, offset int64, stream grpc.ServerStreamingServer[backupv1.FetchContentsResponse]) error {
	line, err := seq.Ledger().Line(manifest, index)
	if err != nil {
		return err
	}
	send := func(segment *backupv1.ContentSegment) error {
		segment.Index = index
		return stream.Send(&backupv1.FetchContentsResponse{Segments: []*backupv1.ContentSegment{segment}})
	}
	data, ok, reachable := c.server.config.Source.read(sourcePath(line.Item))
	unavailable := backupv1.Unavailability_UNAVAILABILITY_UNSPECIFIED
	switch {
	case !wanted:
		unavailable = backupv1.Unavailability_UNAVAILABILITY_NOT_PENDING
	case !reachable:
		unavailable = backupv1.Unavailability_UNAVAILABILITY_SOURCE_UNREADABLE
	case !ok || digestOf(data) != line.Item.Digest:
		unavailable = backupv1.Unavailability_UNAVAILABILITY_SOURCE_CHANGED
		c.server.RequestCheck(seq.Origin(), manifest, ledger.NewSet(ledger.Range{First: index, Last: index}))
	}
	if unavailable != 0 {
		return send(&backupv1.ContentSegment{OffsetBytes: offset, Unavailable: unavailable})
	}
	if c.server.config.Served != nil {
		c.server.config.Served(seq.Origin(), line.Item)
	}
	for last := false; !last; {
		end := min(offset+pieceBytes, int64(len(data)))
		last = end == int64(len(data))
		if err := send(&backupv1.ContentSegment{OffsetBytes: offset, Data: data[offset:end], Last: last}); err != nil {
			return err
		}
		offset = end
	}
	return nil
}
