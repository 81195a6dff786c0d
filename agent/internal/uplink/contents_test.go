package uplink

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/testing/protocmp"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
)

type contentStream = grpc.ServerStreamingServer[backupv1.FetchContentsResponse]

func TestContents(t *testing.T) {
	t.Parallel()
	var got *backupv1.FetchContentsRequest
	s := start(t, &fakeServer{watch: idle, contents: func(m *backupv1.FetchContentsRequest, stream contentStream) error {
		got = m
		return stream.Send(&backupv1.FetchContentsResponse{Complete: true, Segments: []*backupv1.ContentSegment{
			{Index: 3, OffsetBytes: 10, Data: []byte("abc"), Last: true},
			{Index: 4, Unavailable: backupv1.Unavailability_UNAVAILABILITY_SOURCE_UNREADABLE},
		}})
	}}, newLedger(t))
	contents, err := s.Contents(t.Context(), ContentsRequest{Manifest: 2, Items: ledger.NewSet(ledger.Range{First: 3, Last: 4}), OffsetBytes: 10})
	check(t, err)
	segments, complete, err := contents.Next()
	want := []Segment{{Index: 3, OffsetBytes: 10, Data: []byte("abc"), Last: true}, {Index: 4, Unavailable: SourceUnreadable}}
	if diff := cmp.Diff(want, segments); err != nil || !complete || diff != "" {
		t.Errorf("complete %v, %v (-want +got):\n%s", complete, err, diff)
	}
	wantRequest := &backupv1.FetchContentsRequest{Origin: string(testOrigin), SessionNumber: 7, Manifest: 2, Indexes: []*backupv1.IndexRange{{First: 3, Last: 4}}, ReadOffsetBytes: 10}
	if diff := cmp.Diff(wantRequest, got, protocmp.Transform()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if _, _, err := contents.Next(); !errors.Is(err, errEnded) {
		t.Errorf("after the end: %v, want errEnded", err)
	}
}

func TestContentsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		message *backupv1.FetchContentsResponse
		words   string
	}{
		"unknown word": {&backupv1.FetchContentsResponse{Segments: []*backupv1.ContentSegment{{Unavailable: 77}}}, "77"},
		"nothing":      {&backupv1.FetchContentsResponse{}, "says nothing"},
		"oversize":     {&backupv1.FetchContentsResponse{Segments: []*backupv1.ContentSegment{{Data: make([]byte, MaxMessageBytes)}}}, "larger than max"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, &fakeServer{watch: idle, contents: func(_ *backupv1.FetchContentsRequest, stream contentStream) error { return stream.Send(test.message) }}, newLedger(t))
			contents, err := s.Contents(t.Context(), ContentsRequest{Manifest: 1})
			check(t, err)
			if segments, _, err := contents.Next(); err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("Next = %v, %v, want an error with %q", segments, err, test.words)
			}
		})
	}
}

func TestContentsBeforeSession(t *testing.T) {
	t.Parallel()
	s := newSession(serve(t, &fakeServer{}), newLedger(t))
	if _, err := s.Contents(t.Context(), ContentsRequest{Manifest: 1}); !errors.Is(err, errNoSession) {
		t.Errorf("Contents = %v, want errNoSession", err)
	}
}

// TestStalled gives up a stream that brings nothing, and says so; the call ends on the other side too.
func TestStalled(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	client := serve(t, &fakeServer{contents: func(_ *backupv1.FetchContentsRequest, stream contentStream) error {
		<-stream.Context().Done()
		close(ended)
		return nil
	}})
	s, err := openStream(t.Context(), client.content.FetchContents, &backupv1.FetchContentsRequest{})
	check(t, err)
	if _, err := s.next(20 * time.Millisecond); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "20ms") {
		t.Errorf("next = %v, want ErrUnreachable after 20ms", err)
	}
	<-ended
}
