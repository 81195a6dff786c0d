package contentrpc

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// TestMessage encodes a message and has it decoded by protobuf.
func TestMessage(t *testing.T) {
	t.Parallel()
	pool := &buffers{}
	want := &backupv1.FetchContentsResponse{Complete: true, Segments: []*backupv1.ContentSegment{
		{},
		{Index: 1 << 40, OffsetBytes: 70, Last: true, Data: bytes.Repeat([]byte("x"), pieceBytes)},
		{Index: 1<<40 + 1, Last: true, Data: []byte("y")},
		{Index: 1<<40 + 2, Unavailable: backupv1.Unavailability_UNAVAILABILITY_SOURCE_CHANGED},
	}}
	var m message
	for _, s := range want.GetSegments() {
		var data *[]byte
		if len(s.GetData()) > 0 {
			data = pool.Get(len(s.GetData()))
			copy(*data, s.GetData())
		}
		if m.isFull(data) {
			t.Fatalf("full after %d bytes", m.dataBytes)
		}
		without := proto.CloneOf(s)
		without.Data = nil
		if err := m.add(without, data, pool); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.complete(); err != nil {
		t.Fatal(err)
	}
	encoded, err := codec{}.Marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	got := &backupv1.FetchContentsResponse{}
	if err := proto.Unmarshal(encoded.Materialize(), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	encoded.Free()
	if full := pool.Get(packedBytes - pieceBytes); !m.isFull(full) {
		t.Errorf("a message with %d bytes takes %d more", m.dataBytes, len(*full))
	}
}
