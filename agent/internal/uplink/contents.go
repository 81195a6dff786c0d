package uplink

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

// ContentsRequest names items of a manifest, and where to begin in the first of them.
type ContentsRequest struct {
	Manifest    int64
	Items       ledger.Set
	OffsetBytes int64
}

// Unavailability says why the server cannot serve an item now. The numbers equal those of the protocol.
type Unavailability uint8

// Why an item is not served.
const (
	Available        Unavailability = 0
	SourceChanged    Unavailability = 1 // gone, or not as it was sealed: the server withdraws it after its own check
	SourceUnreadable Unavailability = 2 // not readable at the moment
	NotPending       Unavailability = 3 // neither pending nor expired any more
)

// Segment is a piece of one file, or the word that it cannot be had.
type Segment struct {
	Index       int64
	OffsetBytes int64
	Data        []byte // valid until the next call of [Contents.Next]
	Last        bool   // the file ends here
	Unavailable Unavailability
}

// Contents is a stream of contents. It belongs to one goroutine.
type Contents struct {
	session *Session
	number  int64 // that it was asked for with
	stream  *stream[backupv1.FetchContentsResponse]
}

// Contents asks for the contents of items; the stream ends with ctx. It is an error before there is a session.
func (s *Session) Contents(ctx context.Context, request ContentsRequest) (*Contents, error) {
	number, ok := s.Number()
	if !ok {
		return nil, errNoSession
	}
	fetch := func(ctx context.Context, request *backupv1.FetchContentsRequest, options ...grpc.CallOption) (grpc.ServerStreamingClient[backupv1.FetchContentsResponse], error) {
		return s.client.content.FetchContents(ctx, request, append(options, grpc.ForceCodecV2(newContentsCodec()))...)
	}
	stream, err := openStream(ctx, fetch, &backupv1.FetchContentsRequest{
		Origin: string(s.log.Origin()), SessionNumber: number, Manifest: request.Manifest,
		Indexes: wire.Indexes(request.Items), ReadOffsetBytes: request.OffsetBytes,
	})
	if err != nil {
		return nil, s.meant(err, number)
	}
	return &Contents{s, number, stream}, nil
}

// Next returns the next pieces, and whether everything that was asked for has come. A server that sends nothing for five
// minutes is an [ErrUnreachable].
func (c *Contents) Next() (segments []Segment, complete bool, err error) {
	message, err := c.stream.next(stallTimeout)
	if err != nil {
		return nil, false, c.session.meant(err, c.number)
	}
	if len(message.GetSegments()) == 0 && !message.GetComplete() {
		return nil, false, errors.New("the server sent a message that says nothing")
	}
	for _, m := range message.GetSegments() {
		if _, known := backupv1.Unavailability_name[int32(m.GetUnavailable())]; !known {
			return nil, false, fmt.Errorf("the server says of item %d what this version does not know (%d)", m.GetIndex(), m.GetUnavailable())
		}
		segments = append(segments, Segment{m.GetIndex(), m.GetOffsetBytes(), m.GetData(), m.GetLast(), Unavailability(m.GetUnavailable())})
	}
	return segments, message.GetComplete(), nil
}
