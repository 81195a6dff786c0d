package uplink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/notes"
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

// ReportFaults tells the server what did not go through. It is an error before there is a session.
func (s *Session) ReportFaults(ctx context.Context, faults []ItemFault) error {
	number, ok := s.Number()
	if !ok {
		return fmt.Errorf("report faults: %w", errNoSession)
	}
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
		return fmt.Errorf("report faults: %w", s.meant(err, number))
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
	Message        string       // one sentence; empty when all is well
	FreeBytes      int64        // -1 where not known
	FreeInodes     int64        // -1 where not known
	ConfirmedItems int64        // since the process started
	FetchedBytes   int64        // since the process started
	Pause          *notes.Pause // nil where it is not paused
	// Check is the last check, nil where there was none; what is not good in it is reported.
	Check *backup.CheckReport
	// LeftAlone says that nothing is tried for a while; nil where it is.
	LeftAlone *wire.LeftAlone
}

// Order is what the server wants of one destination; the zero value for one that this session does not serve.
type Order struct {
	Window         schedule.Window // without a Location where the server named none
	BytesPerSecond int64           // 0 for no limit
	RunNumber      int64           // increases each time an operator asks for a run
}

// Self is what a heartbeat says of the agent as a whole.
type Self struct {
	Version string
	Message string // one sentence; empty when all is well
	// StateFreeBytes is what is free on the volume of the agent's own state, nil where that cannot be known.
	StateFreeBytes *int64
}

// Heartbeat reports how the agent and the destinations are, hands over agreed heads, and returns one order per report. It
// keeps the server's time.
func (c *Client) Heartbeat(ctx context.Context, self Self, reports []Report) ([]Order, error) {
	request := &backupv1.HeartbeatRequest{
		AgentVersion: self.Version, Message: strings.ToValidUTF8(self.Message, "?"), AgentTime: timestamppb.New(c.Clock.wall()),
		StateFreeBytes: self.StateFreeBytes,
	}
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
	if len(response.GetDestinations()) != len(reports) {
		return nil, fmt.Errorf("heartbeat: the server answered for %d destinations, asked were %d", len(response.GetDestinations()), len(reports))
	}
	if err := c.Clock.hear(response.GetServerTime()); err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	orders := make([]Order, len(reports))
	for i, m := range response.GetDestinations() {
		if orders[i], err = parseOrder(m, reports[i].Session, request.GetDestinations()[i].GetSessionNumber()); err != nil {
			return nil, fmt.Errorf("heartbeat: order for %s: %w", request.GetDestinations()[i].GetOrigin(), err)
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
		Health: backupv1.DestinationHealth(r.Health), Message: strings.ToValidUTF8(r.Message, "?"),
		ConfirmedCount: r.ConfirmedItems, FetchedBytes: r.FetchedBytes, Circuit: wire.Circuit(r.LeftAlone),
	}
	if heard := c.Clock.Heard(); !heard.IsZero() {
		m.EchoedTime = timestamppb.New(heard)
	}
	m.OutboxCount = r.Session.waiting()
	m.Size, _ = log.Position()
	m.AgreedHead = log.Agreed()
	if r.Pause != nil {
		m.Pause = &backupv1.Pause{UntilTime: wire.Time(r.Pause.Until), Reason: r.Pause.Reason}
	}
	if r.FreeBytes >= 0 {
		m.FreeBytes = &r.FreeBytes
	}
	if r.FreeInodes >= 0 {
		m.FreeInodeCount = &r.FreeInodes
	}
	if r.Check != nil {
		m.Check = wire.BriefCheckReport(*r.Check)
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

// parseOrder reads the order for the destination of session, which was asked for with this number, and which ends with it where
// a later one serves it.
func parseOrder(m *backupv1.DestinationOrder, session *Session, number int64) (Order, error) {
	if m.GetOrigin() != string(session.log.Origin()) {
		return Order{}, fmt.Errorf("the server answered for %q in its place", m.GetOrigin())
	}
	switch m.GetStatus() {
	case backupv1.AssignmentStatus_ASSIGNMENT_STATUS_ASSIGNED:
	case backupv1.AssignmentStatus_ASSIGNMENT_STATUS_SUPERSEDED:
		session.Supersede(number)
		return Order{}, nil
	case backupv1.AssignmentStatus_ASSIGNMENT_STATUS_NOT_ASSIGNED:
		return Order{}, nil
	default:
		return Order{}, fmt.Errorf("unknown status %d", m.GetStatus())
	}
	w := m.GetWindow()
	if w == nil {
		return Order{RunNumber: m.GetRunNumber()}, nil
	}
	location, err := loadZone(w.GetTimeZone())
	if err != nil {
		return Order{}, err
	}
	start, end := w.GetStart().AsDuration(), w.GetEnd().AsDuration()
	if start < 0 || start >= 24*time.Hour || end < 0 || end > 24*time.Hour || w.GetBytesPerSecond() < 0 {
		return Order{}, errors.New("the window is not within a day")
	}
	return Order{schedule.Window{Start: start, End: end, Location: location}, w.GetBytesPerSecond(), m.GetRunNumber()}, nil
}

// loadZone returns the time zone with an IANA name. The names that Go adds for UTC and for this machine's zone are none.
func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is no time zone", name)
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone: %w", err)
	}
	return location, nil
}
