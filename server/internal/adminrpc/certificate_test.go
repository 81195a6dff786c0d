package adminrpc

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// neverHeard is a Hearer that heard nobody.
type neverHeard struct{}

func (neverHeard) Heard(string, string) (registry.Heartbeat, error) {
	return registry.Heartbeat{}, nil
}

// certificates collects what a stream sends.
type certificates struct {
	grpc.ServerStream
	ctx  context.Context
	sent []*backupv1.ReadExpiryCertificateResponse
}

func (c *certificates) Context() context.Context { return c.ctx }

func (c *certificates) Send(m *backupv1.ReadExpiryCertificateResponse) error {
	c.sent = append(c.sent, m)
	return nil
}

// TestReadExpiryCertificate shows what expired of a manifest that was closed, and nothing of one that is open.
func TestReadExpiryCertificate(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Hearer = neverHeard{}
	ask := func(manifest int64) (*certificates, error) {
		stream := &certificates{ctx: t.Context()}
		return stream, s.ReadExpiryCertificate(&backupv1.ReadExpiryCertificateRequest{Tenant: "acme", Destination: "nas", Manifest: manifest}, stream)
	}
	_, err := ask(1)
	wantReason(t, "an open manifest", err, wire.ReasonNotClosed)
	_, err = ask(9)
	wantReason(t, "no manifest", err, wire.ReasonNoManifest)

	seq := s.Sequencers.All()[0]
	late := backup.Date{Year: 2026, Month: time.March, Day: 20}.EndIn(time.UTC)
	for _, uptime := range []time.Duration{0, 24 * time.Hour} {
		_, err := seq.Close(t.Context(), late, uptime)
		must(t, err)
	}
	stream, err := ask(1)
	must(t, err)
	c := stream.sent[0].GetCertificate()
	const expired = sealedCount - 2471
	if got := c.GetNight().GetCounts(); got.GetExpiredCount() != expired || got.GetConfirmedCount() != 2471 {
		t.Errorf("counts: %v", got)
	}
	var kinds []string
	for _, e := range c.GetEntries() {
		kinds = append(kinds, e.GetKind())
	}
	if len(kinds) != 3 || kinds[0] != "sealed" || kinds[1] != "delivered" || kinds[2] != "closed" || c.GetEntries()[2].GetCounts().GetExpiredCount() != expired {
		t.Errorf("entries: %v", c.GetEntries())
	}
	if f := c.GetFaults(); len(f) != 1 || f[0].GetExpiredCount() != 2 || f[0].GetFault().GetMessage() != "no space" {
		t.Errorf("faults: %v", f)
	}
	if c.GetStorageKind() != backupv1.StorageKind_STORAGE_KIND_S3 || c.GetWindowDays() != 10 || c.GetAgent() == "" || c.GetHeardTime() != nil || len(c.GetNotices()) != 0 {
		t.Errorf("the certificate is %v", c)
	}
	items := 0
	for _, part := range stream.sent[1:] {
		items += len(part.GetItems())
	}
	if size, _ := seq.Ledger().Position(); items != expired || c.GetPosition().GetSize() != size {
		t.Errorf("%d items of a log of %d entries, want %d items of %d", items, c.GetPosition().GetSize(), expired, size)
	}
}
