package adminrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// maxCertifiedEntries is how many entries of the log a certificate shows.
const maxCertifiedEntries = 10_000

// ReadExpiryCertificate streams what became of a manifest whose time has passed.
func (s *Service) ReadExpiryCertificate(req *backupv1.ReadExpiryCertificateRequest, stream grpc.ServerStreamingServer[backupv1.ReadExpiryCertificateResponse]) error {
	ctx := stream.Context()
	_, seq, err := s.sequencer(ctx, req.GetTenant(), req.GetDestination())
	if err != nil {
		return err
	}
	m, sealed := seq.Manifest(req.GetManifest())
	if !sealed {
		return wire.Error(codes.NotFound, wire.ReasonNoManifest, "manifest %d of %s is not sealed; the last one is %d", req.GetManifest(), seq.Origin(), seq.Last())
	}
	if m.Open {
		return wire.Error(codes.FailedPrecondition, wire.ReasonNotClosed, "manifest %d of %s is open until after %s: nothing of it has expired",
			m.Number, seq.Origin(), m.Deadline.Format(time.RFC3339))
	}
	c, err := s.certificate(ctx, seq.Ledger(), m)
	if err != nil {
		return s.failed(ctx, err)
	}
	if name, _, ok := seq.Assigned(); ok {
		if err := s.heardOf(c, seq.Origin(), name); err != nil {
			return s.failed(ctx, err)
		}
	}
	if err := stream.Send(&backupv1.ReadExpiryCertificateResponse{Certificate: c}); err != nil {
		return err
	}
	page := &pager{send: func(items *backupv1.ListItemsResponse) error {
		return stream.Send(&backupv1.ReadExpiryCertificateResponse{Items: items.GetItems()})
	}}
	if err := items(ctx, seq.Ledger(), m, []backup.State{backup.Expired}, "", page); err != nil {
		return s.failed(ctx, err)
	}
	return page.flush()
}

// certificate gathers what log and store say of a manifest.
func (s *Service) certificate(ctx context.Context, log *store.Ledger, m ledger.Manifest) (*backupv1.ExpiryCertificate, error) {
	night, err := wire.Night(log, m)
	if err != nil {
		return nil, err
	}
	size, root := log.Position()
	c := &backupv1.ExpiryCertificate{MakeTime: wire.Time(time.Now()), Origin: string(log.Origin()), Night: night, Root: m.Root[:], Position: wire.Position(size, root), AgreedHead: log.Agreed()}
	if head, _, err := ledger.ParseHead(log.Head()); err == nil && head.Size == size {
		c.Head = log.Head()
	}
	if err := certifyEntries(ctx, c, log, m, size); err != nil {
		return nil, err
	}
	expired, err := log.Items(m.Number, backup.Expired)
	if err != nil {
		return nil, err
	}
	faults, err := log.Faults(m.Number)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(faults, func(a, b store.ItemsFault) int { return a.Fault.Last.Compare(b.Fault.Last) })
	for _, f := range faults {
		c.Faults = append(c.Faults, &backupv1.CertifiedFault{Fault: wire.Fault(f.Fault), ItemCount: f.Items.Len(), ExpiredCount: f.Items.Intersect(expired).Len()})
	}
	alarms, err := s.Registry.Alarms(log.Origin().Tenant())
	if err != nil {
		return nil, err
	}
	for _, a := range alarms {
		if a.Origin == log.Origin() {
			c.Alarms = append(c.Alarms, fmt.Sprintf("%s, %s: %s", a.Kind, a.RaisedAt.Format(time.RFC3339), a.Message))
		}
	}
	return c, nil
}

// heardOf says when the agent that the log names was last heard.
func (s *Service) heardOf(c *backupv1.ExpiryCertificate, origin ledger.Origin, agent string) error {
	c.Agent = agent
	heard, err := s.Hearer.Heard(origin.Tenant(), agent)
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	if err != nil || heard.At.IsZero() {
		return err
	}
	c.HeardTime = wire.Time(heard.At)
	for _, r := range heard.Reports {
		if r.Origin == origin && r.OutboxCount == 0 {
			c.EchoedTime = wire.Time(r.EchoedTime)
		}
	}
	return nil
}

// certifyEntries reads what the log says of a manifest.
func certifyEntries(ctx context.Context, c *backupv1.ExpiryCertificate, log *store.Ledger, m ledger.Manifest, size int64) error {
	index := int64(-1)
	for leaf, err := range log.Entries(0, size) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if index++; index > 0 && !bytes.Contains(leaf, fmt.Appendf(nil, "\nmanifest %d\n", m.Number)) {
			continue
		}
		entry, err := ledger.ParseEntry(leaf)
		if err != nil {
			return err
		}
		if genesis, ok := entry.Body.(ledger.Genesis); ok {
			c.StorageKind, c.WindowDays = wire.StorageKind(genesis.Storage), int64(genesis.WindowDays)
			continue
		}
		if number, _, ok := ledger.ManifestOf(entry.Body); !ok || number != m.Number || len(c.Entries) == maxCertifiedEntries {
			continue
		}
		c.Entries = append(c.Entries, certified(c, index, entry))
	}
	return nil
}

// certified describes an entry, and takes down what sealing said.
func certified(c *backupv1.ExpiryCertificate, index int64, entry ledger.Entry) *backupv1.CertifiedEntry {
	e := &backupv1.CertifiedEntry{Index: index, MakeTime: wire.Time(entry.Time), Kind: entry.Body.Kind().String()}
	if items, ok := ledger.IndexesOf(entry.Body); ok {
		e.ItemCount = items.Len()
	}
	switch body := entry.Body.(type) {
	case ledger.Sealed:
		e.ItemCount = body.Items
		e.DeadlineTime, c.FirstDeadlineTime = wire.Time(body.Deadline), wire.Time(body.Deadline)
		if !body.SourceKeptUntil.IsZero() {
			c.SourceKeptTime = wire.Time(body.SourceKeptUntil)
		}
	case ledger.Delivered:
		e.Detail = fmt.Sprint(body.Method) + ", " + body.Brought
	case ledger.Lost:
		e.Detail = body.Finding
	case ledger.Waived:
		e.Detail = body.Reason
	case ledger.Withdrawn:
		e.Detail = body.Reason
	case ledger.Extended:
		e.Detail, e.DeadlineTime = body.Reason, wire.Time(body.Deadline)
	case ledger.Closed:
		e.Counts = wire.Counts(body.Counts)
	}
	return e
}
