package uplink

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup/agent/internal/schedule"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// ItemFault is a fault and the items of one manifest that it hit; manifest 0 and no items for the destination as a
// whole.
type ItemFault struct {
	Manifest       int64
	Items          ledger.Set
	Fault          store.Fault
	DigestMismatch bool // received contents did not have the sealed digest: the server reads its source again
}

// ReportFaults tells the server what did not go through.
func (s *Session) ReportFaults(ctx context.Context, faults []ItemFault) error {
	number, _ := s.Number()
	request := &backupv1.ReportFaultsRequest{Origin: string(s.log.Origin()), SessionNumber: number}
	for _, f := range faults {
		request.Faults = append(request.Faults, &backupv1.ItemFault{
			Manifest: f.Manifest, Indexes: wire.Indexes(f.Items), DigestMismatch: f.DigestMismatch,
			Fault: &backupv1.Fault{
				Class: f.Fault.Class, Party: f.Fault.Party, Code: f.Fault.Code, Message: f.Fault.Message,
				LastTime: wire.Time(f.Fault.Last), AttemptCount: f.Fault.Attempts,
			},
		})
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := s.client.heartbeat.ReportFaults(ctx, request); err != nil {
		return fmt.Errorf("report faults: %w", s.meant(err))
	}
	return nil
}

// Health is how a destination is. The numbers equal those of the protocol.
type Health uint8

// The conditions of a destination.
const (
	HealthUnknown     Health = 0
	HealthIdle        Health = 1
	HealthRunning     Health = 2
	HealthFault       Health = 3
	HealthUnreachable Health = 4
)

// Report is what a heartbeat says of one destination.
type Report struct {
	Session        *Session
	Health         Health
	Message        string // one sentence; empty when all is well
	FreeBytes      int64  // -1 where not known
	FreeInodes     int64  // -1 where not known
	ConfirmedItems int64  // since the process started
	FetchedBytes   int64  // since the process started
}

// Order is what the server wants of one destination.
type Order struct {
	Window         schedule.Window
	BytesPerSecond int64 // 0 for no limit
	RunNumber      int64 // increases each time an operator asks for a run
}

// Heartbeat reports how the destinations are, hands over agreed heads, and returns one order per report. It keeps the
// server's time.
func (c *Client) Heartbeat(ctx context.Context, version string, reports []Report) ([]Order, error) {
	request := &backupv1.HeartbeatRequest{AgentVersion: version, AgentTime: timestamppb.Now()}
	for kind := ledger.KindGenesis; kind <= ledger.KindRetired; kind++ {
		request.UnderstoodEntries = append(request.UnderstoodEntries, kind.String()+" v1")
	}
	for _, r := range reports {
		request.Destinations = append(request.Destinations, c.report(r))
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := c.heartbeat.Heartbeat(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("heartbeat: %w", sessionError(err))
	}
	if response.GetServerTime() == nil || len(response.GetDestinations()) != len(reports) {
		return nil, errors.New("heartbeat: the server's answer is not complete")
	}
	c.Clock.Set(response.GetServerTime().AsTime(), time.Now())
	orders := make([]Order, len(reports))
	for i, m := range response.GetDestinations() {
		if m.GetStatus() == backupv1.AssignmentStatus_ASSIGNMENT_STATUS_SUPERSEDED {
			reports[i].Session.Supersede()
		}
		if orders[i], err = parseOrder(m); err != nil {
			return nil, fmt.Errorf("heartbeat: order for %s: %w", m.GetOrigin(), err)
		}
	}
	return orders, nil
}

// report describes one destination. What the server has said before the outbox is looked at is what is echoed.
func (c *Client) report(r Report) *backupv1.DestinationReport {
	log := r.Session.log
	number, _ := r.Session.Number()
	m := &backupv1.DestinationReport{
		Origin: string(log.Origin()), SessionNumber: number,
		Health: backupv1.DestinationHealth(r.Health), Message: r.Message,
		ConfirmedCount: r.ConfirmedItems, FetchedBytes: r.FetchedBytes,
	}
	if heard := c.Clock.Heard(); !heard.IsZero() {
		m.EchoedTime = timestamppb.New(heard)
	}
	m.OutboxCount = r.Session.waiting()
	m.Size, _ = log.Position()
	m.AgreedHead = log.Agreed()
	if r.FreeBytes >= 0 {
		m.FreeBytes = &r.FreeBytes
	}
	if r.FreeInodes >= 0 {
		m.FreeInodeCount = &r.FreeInodes
	}
	return m
}

// waiting counts receipts that are not in the log yet, one that is half-way into the outbox too.
func (s *Session) waiting() int64 {
	count := int64(s.log.OutboxLen())
	if prepared, err := s.log.Prepared(); err != nil || prepared != nil {
		count++
	}
	return count
}

func parseOrder(m *backupv1.DestinationOrder) (Order, error) {
	w := m.GetWindow()
	if w == nil {
		return Order{RunNumber: m.GetRunNumber()}, nil
	}
	location, err := time.LoadLocation(w.GetTimeZone())
	if err != nil {
		return Order{}, fmt.Errorf("time zone: %w", err)
	}
	start, end := w.GetStart().AsDuration(), w.GetEnd().AsDuration()
	if start < 0 || start >= 24*time.Hour || end < 0 || end > 24*time.Hour || w.GetBytesPerSecond() < 0 {
		return Order{}, errors.New("the window is not within a day")
	}
	return Order{schedule.Window{Start: start, End: end, Location: location}, w.GetBytesPerSecond(), m.GetRunNumber()}, nil
}

// Platform is the operating system and architecture as the server's list shows them.
func Platform() string { return runtime.GOOS + "/" + runtime.GOARCH }
