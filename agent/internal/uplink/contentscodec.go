package uplink

import (
	"slices"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// contentsCodec is gRPC's own codec, but for contents: their data is not copied out of the buffer that a message is
// received in, and the next message is received in the same one. This spares garbage the size of everything that is
// fetched. It belongs to one stream.
type contentsCodec struct {
	encoding.CodecV2
	buffer []byte
}

func newContentsCodec() *contentsCodec {
	return &contentsCodec{CodecV2: encoding.GetCodecV2(proto.Name)}
}

// Unmarshal implements encoding.CodecV2. The data of segments is valid until it is called again.
func (c *contentsCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*backupv1.FetchContentsResponse)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	c.buffer = slices.Grow(c.buffer[:0], data.Len())[:data.Len()]
	data.CopyTo(c.buffer)
	return parseContents(c.buffer, m)
}

// The tags of FetchContentsResponse and ContentSegment: the numbers of fields in content.proto, with their wire types.
// Other fields are passed over.
const (
	responseSegments = 1<<3 | uint64(protowire.BytesType)
	responseComplete = 2<<3 | uint64(protowire.VarintType)

	segmentIndex       = 1<<3 | uint64(protowire.VarintType)
	segmentOffset      = 2<<3 | uint64(protowire.VarintType)
	segmentData        = 3<<3 | uint64(protowire.BytesType)
	segmentLast        = 4<<3 | uint64(protowire.VarintType)
	segmentUnavailable = 5<<3 | uint64(protowire.VarintType)
)

// parseContents parses a message; data is part of encoded.
func parseContents(encoded []byte, m *backupv1.FetchContentsResponse) error {
	m.Reset()
	return eachField(encoded, func(tag, number uint64, text []byte) error {
		switch tag {
		case responseSegments:
			segment := &backupv1.ContentSegment{}
			m.Segments = append(m.Segments, segment)
			return parseSegment(text, segment)
		case responseComplete:
			m.Complete = protowire.DecodeBool(number)
		}
		return nil
	})
}

func parseSegment(encoded []byte, s *backupv1.ContentSegment) error {
	return eachField(encoded, func(tag, number uint64, text []byte) error {
		switch tag {
		case segmentIndex:
			s.Index = int64(number)
		case segmentOffset:
			s.OffsetBytes = int64(number)
		case segmentData:
			s.Data = text
		case segmentLast:
			s.Last = protowire.DecodeBool(number)
		case segmentUnavailable:
			s.Unavailable = backupv1.Unavailability(number)
		}
		return nil
	})
}

// eachField calls do for the fields of a message in their order: with the number of a varint, or the text of bytes.
func eachField(encoded []byte, do func(tag, number uint64, text []byte) error) error {
	for len(encoded) > 0 {
		field, kind, n := protowire.ConsumeTag(encoded)
		if n < 0 {
			return protowire.ParseError(n)
		}
		encoded = encoded[n:]
		var number uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(encoded)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(encoded)
		default:
			n = protowire.ConsumeFieldValue(field, kind, encoded)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		encoded = encoded[n:]
		if err := do(protowire.EncodeTag(field, kind), number, text); err != nil {
			return err
		}
	}
	return nil
}
