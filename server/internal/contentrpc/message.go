package contentrpc

import (
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

const (
	// packedBytes is how much data a message carries, unless a single piece has more.
	packedBytes = 512 << 10
	// packedSegments is how many segments a message carries at most, for files of no bytes.
	packedSegments = 1024
)

// message is an encoded FetchContentsResponse in the making. The data of files is not copied into it: it stays in the
// buffers that it was read into, which are free again once gRPC has sent them. The zero value is empty.
type message struct {
	buffers   mem.BufferSlice
	segments  int
	dataBytes int
	ended     bool
}

// The fields of FetchContentsResponse and ContentSegment in content.proto that are encoded here.
const (
	fieldSegments = 1
	fieldData     = 3
)

func (m *message) isEmpty() bool { return m.segments == 0 && !m.ended }

// isFull reports whether the message is to be sent before data, nil for none, is added.
func (m *message) isFull(data *[]byte) bool {
	return m.segments == packedSegments || data != nil && m.dataBytes > 0 && m.dataBytes+len(*data) > packedBytes
}

// add adds a segment, which has no data of its own, with data, nil for none, that goes back to pool afterwards.
func (m *message) add(segment *backupv1.ContentSegment, data *[]byte, pool mem.BufferPool) error {
	encoded, err := proto.Marshal(segment)
	if err != nil {
		return fmt.Errorf("encode contents: %w", err)
	}
	dataBytes := 0
	if data != nil {
		dataBytes = len(*data)
		encoded = protowire.AppendTag(encoded, fieldData, protowire.BytesType)
		encoded = protowire.AppendVarint(encoded, uint64(dataBytes))
	}
	head := protowire.AppendTag(nil, fieldSegments, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(encoded)+dataBytes))
	m.buffers = append(m.buffers, mem.SliceBuffer(append(head, encoded...)))
	if data != nil {
		m.buffers = append(m.buffers, mem.NewBuffer(data, pool))
	}
	m.segments++
	m.dataBytes += dataBytes
	return nil
}

// complete says that nothing follows the message.
func (m *message) complete() error {
	encoded, err := proto.Marshal(&backupv1.FetchContentsResponse{Complete: true})
	if err != nil {
		return fmt.Errorf("encode contents: %w", err)
	}
	m.buffers = append(m.buffers, mem.SliceBuffer(encoded))
	m.ended = true
	return nil
}

// buffers is a pool of buffers of pieceBytes. Unlike those of gRPC they are not cleared: whoever gets one fills it.
type buffers struct{ pool sync.Pool }

// Get implements mem.BufferPool, for no more than pieceBytes.
func (b *buffers) Get(length int) *[]byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		*buffer = (*buffer)[:length]
		return buffer
	}
	buffer := make([]byte, length, pieceBytes)
	return &buffer
}

// Put implements mem.BufferPool.
func (b *buffers) Put(buffer *[]byte) { b.pool.Put(buffer) }

// Codec returns the option that a gRPC server needs for this service: gRPC's own codec, but for contents, which come
// to it encoded.
func Codec() grpc.ServerOption {
	return grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(grpcproto.Name)})
}

type codec struct{ encoding.CodecV2 }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*message); ok {
		return m.buffers, nil
	}
	return c.CodecV2.Marshal(v)
}
