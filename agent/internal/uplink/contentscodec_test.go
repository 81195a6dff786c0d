package uplink

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// decode decodes a message that came in two pieces.
func decode(codec *contentsCodec, encoded []byte) (*backupv1.FetchContentsResponse, error) {
	middle := len(encoded) / 2
	got := &backupv1.FetchContentsResponse{Complete: true, Segments: []*backupv1.ContentSegment{{Index: 5}}}
	return got, codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(encoded[:middle]), mem.SliceBuffer(encoded[middle:])}, got)
}

func TestContentsCodec(t *testing.T) {
	t.Parallel()
	codec := newContentsCodec()
	for name, want := range map[string]*backupv1.FetchContentsResponse{
		"nothing":  {},
		"complete": {Complete: true},
		"segments": {Complete: true, Segments: []*backupv1.ContentSegment{
			{Index: 0, Data: bytes.Repeat([]byte("a"), 70000), Last: true},
			{Index: 1 << 40, OffsetBytes: 3, Data: []byte("b")},
			{Index: 7, Unavailable: backupv1.Unavailability_UNAVAILABILITY_NOT_PENDING},
			{Index: 8, Last: true},
			{Index: 9, Unavailable: -1},
		}},
	} {
		encoded, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		// A field of each kind that this version does not know.
		encoded = protowire.AppendVarint(protowire.AppendTag(encoded, 90, protowire.VarintType), 5)
		encoded = protowire.AppendBytes(protowire.AppendTag(encoded, 91, protowire.BytesType), []byte("new"))
		encoded = protowire.AppendFixed64(protowire.AppendTag(encoded, 92, protowire.Fixed64Type), 5)
		if got, err := decode(codec, encoded); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// FuzzContentsCodec compares it with protobuf's own parser on what that takes, unknown fields left out.
func FuzzContentsCodec(f *testing.F) {
	seed, err := proto.Marshal(&backupv1.FetchContentsResponse{Segments: []*backupv1.ContentSegment{{Index: 1, Data: []byte("a"), Last: true}}, Complete: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0x0a, 0x05, 0x01})
	f.Fuzz(func(t *testing.T, encoded []byte) {
		got, err := decode(newContentsCodec(), encoded)
		want := &backupv1.FetchContentsResponse{}
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(encoded, want) == nil && (err != nil || !proto.Equal(got, want)) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
	})
}
