package adminrpc

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// foundPages collects what a stream of recordings sends.
type foundPages struct {
	grpc.ServerStream
	ctx  context.Context
	sent []*backupv1.FindRecordingsResponse
}

func (p *foundPages) Context() context.Context { return p.ctx }

func (p *foundPages) Send(m *backupv1.FindRecordingsResponse) error {
	p.sent = append(p.sent, m)
	return nil
}

func TestFindRecordings(t *testing.T) {
	t.Parallel()
	s := newService(t)
	if _, err := s.CreateDestination(t.Context(), &backupv1.CreateDestinationRequest{Tenant: "acme", Name: "s3", Kind: backupv1.StorageKind_STORAGE_KIND_S3}); err != nil {
		t.Fatal(err)
	}
	stream := &foundPages{ctx: t.Context()}
	if err := s.FindRecordings(&backupv1.FindRecordingsRequest{Tenant: "acme", Query: &backupv1.RecordingQuery{Night: "2026-03-01"}}, stream); err != nil {
		t.Fatal(err)
	}
	if len(stream.sent) != 3 || len(stream.sent[0].GetRecordings()) != 1000 || len(stream.sent[2].GetRecordings()) != 500 {
		t.Errorf("%d pages", len(stream.sent))
	}
	stream = &foundPages{ctx: t.Context()}
	if err := s.FindRecordings(&backupv1.FindRecordingsRequest{Tenant: "acme", Destination: "nas", Query: &backupv1.RecordingQuery{Name: "/002490"}}, stream); err != nil {
		t.Fatal(err)
	}
	if len(stream.sent) != 1 || len(stream.sent[0].GetRecordings()) != 1 {
		t.Fatalf("found %v", stream.sent)
	}
	f := stream.sent[0].GetRecordings()[0]
	if f.GetDestination() != "nas" || f.GetNight() != "2026-03-01" || f.GetItem().GetPath() != "1/002490.gsm" || f.GetItem().GetState() != backupv1.ItemState_ITEM_STATE_PENDING ||
		f.GetItem().GetLastFault().GetMessage() != "no space" {
		t.Errorf("found %v", f)
	}
	for _, test := range []struct {
		request *backupv1.FindRecordingsRequest
		code    codes.Code
		reason  string
	}{
		{&backupv1.FindRecordingsRequest{Tenant: "acme"}, codes.InvalidArgument, wire.ReasonBadRequest},
		{&backupv1.FindRecordingsRequest{Tenant: "acme", Query: &backupv1.RecordingQuery{Night: "yesterday"}}, codes.InvalidArgument, wire.ReasonBadRequest},
		{&backupv1.FindRecordingsRequest{Tenant: "none", Query: &backupv1.RecordingQuery{Name: "a"}}, codes.NotFound, wire.ReasonNoTenant},
		{&backupv1.FindRecordingsRequest{Tenant: "acme", Destination: "tape", Query: &backupv1.RecordingQuery{Name: "a"}}, codes.NotFound, wire.ReasonNoDestination},
	} {
		if err := s.FindRecordings(test.request, &foundPages{ctx: t.Context()}); status.Code(err) != test.code || wire.Reason(err) != test.reason {
			t.Errorf("%v: %v", test.request, err)
		}
	}
}
