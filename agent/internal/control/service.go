// Package control is how people on the agent's machine speak to the running agent: AgentService over a Unix socket
// (on Windows too), and the client that the commands use. While a service runs it alone has the store open, so every
// command asks it. Who may ask is said by the socket's file permissions. It decides nothing about recordings.
package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup/agent/internal/acts"
	"github.com/wolkvox/backup/agent/internal/circuit"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/agent/internal/probe"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// Service implements AgentService. Its fields are set once.
type Service struct {
	backupv1.UnimplementedAgentServiceServer

	Agent         string // its name
	Version       string
	ServerAddress string
	ServerProblem func() error    // why the server cannot be reached now
	Problems      func() []string // what is wrong with the agent as a whole
	// ClockOffset returns this machine's clock less the server's; false where the server was never heard.
	ClockOffset    func() (time.Duration, bool)
	CertificateEnd func() time.Time // of the certificate in use
	AtWork         bool             // nights run in this process
	Acts           *acts.List       // of what people do by hand
	Destinations   []Destination
}

// Destination is what the service tells of and does with one destination.
type Destination struct {
	Name     string
	Location string       // for a person
	Faults   fault.Teller // puts faults into words
	Log      *store.Ledger
	Night    *night.Night
	Store    *dest.Store
	Space    func() (dest.Space, bool, error) // false where not known; the error says why the place cannot be reached
	// LogProblem says why the log is not kept equal to the server's now; nil where it is, or was not tried yet.
	LogProblem func() error
	Probe      *probe.Probe
	Limits     Limits
}

func (s *Service) destination(name string) (Destination, error) {
	for _, d := range s.Destinations {
		if d.Name == name {
			return d, nil
		}
	}
	return Destination{}, wire.Error(codes.NotFound, wire.ReasonNoDestination, "there is no destination %q in the agent's configuration", name)
}

// Run copies what is pending now and streams how far it has come.
func (s *Service) Run(request *backupv1.RunRequest, stream grpc.ServerStreamingServer[backupv1.RunResponse]) error {
	if !s.AtWork {
		return status.Error(codes.Unavailable, "no agent is at work: another command has the agent's state open; run this one again when that has ended")
	}
	chosen := s.Destinations
	if request.GetDestination() != "" {
		d, err := s.destination(request.GetDestination())
		if err != nil {
			return err
		}
		chosen = []Destination{d}
	}
	for _, d := range chosen {
		if err := runOne(stream, d); err != nil {
			return err
		}
	}
	return nil
}

func runOne(stream grpc.ServerStreamingServer[backupv1.RunResponse], d Destination) error {
	ctx := stream.Context()
	type ended struct {
		outcome night.Outcome
		err     error
	}
	done := make(chan ended, 1)
	go func() {
		outcome, err := d.Night.RunNow(ctx)
		done <- ended{outcome, err}
	}()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case e := <-done:
			if e.err != nil {
				return e.err
			}
			response := progress(d.Name, e.outcome.Progress)
			response.Result = &backupv1.RunResult{Complete: e.outcome.Complete}
			response.Result.Agreed, _ = agreed(d.Log)
			if e.outcome.Err != nil {
				response.Result.Message = text(e.outcome.Err)
			}
			return stream.Send(response)
		case <-tick.C:
			if err := stream.Send(progress(d.Name, d.Night.Progress())); err != nil {
				<-done
				return err
			}
		}
	}
}

func progress(name string, p night.Progress) *backupv1.RunResponse {
	return &backupv1.RunResponse{
		Destination: name, WantedCount: p.WantedItems, ConfirmedCount: p.ConfirmedItems, FaultCount: p.FaultItems,
		WantedBytes: p.WantedBytes, FetchedBytes: p.FetchedBytes,
	}
}

// InitDestination marks a configured destination as the place for its log.
func (s *Service) InitDestination(ctx context.Context, request *backupv1.InitDestinationRequest) (*backupv1.InitDestinationResponse, error) {
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return nil, err
	}
	ctx = circuit.Force(ctx)
	var marker dest.Marker
	err = d.Store.CheckMarker(ctx)
	already := err == nil
	if !errors.Is(err, dest.ErrUnreachable) { // which a second try, perhaps with a wrong password, would not change
		marker, err = d.Store.Init(ctx)
	}
	if err != nil {
		if refused := d.placeRefused(fmt.Errorf("%s: %w", d.Location, err)); refused != nil {
			return nil, refused
		}
		return nil, fmt.Errorf("initialise %s: %w", d.Location, err)
	}
	return &backupv1.InitDestinationResponse{Location: d.Location, MarkerId: marker.ID, AlreadyInitialized: already}, nil
}

// AcceptLosses lets the next audit of a destination sign what the last one found.
func (s *Service) AcceptLosses(_ context.Context, request *backupv1.AcceptLossesRequest) (*backupv1.AcceptLossesResponse, error) {
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return nil, err
	}
	lost, audited, err := d.Night.AcceptLosses()
	if errors.Is(err, night.ErrNoLosses) {
		return nil, wire.Error(codes.FailedPrecondition, wire.ReasonNoLosses, "no audit of %s waits for a decision: "+
			"only the running service knows of one, and it does not outlive it; the next pass looks again", d.Name)
	}
	if err != nil {
		return nil, err
	}
	return &backupv1.AcceptLossesResponse{LostCount: lost, AuditedCount: audited}, nil
}

// VerifyAgentLedger folds the agent's copy of a log from nothing.
func (s *Service) VerifyAgentLedger(ctx context.Context, request *backupv1.VerifyAgentLedgerRequest) (*backupv1.VerifyAgentLedgerResponse, error) {
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return nil, err
	}
	report, err := d.Log.Verify(ctx)
	if err != nil {
		return nil, fmt.Errorf("verify the ledger of %s: %w", d.Name, err)
	}
	return &backupv1.VerifyAgentLedgerResponse{Report: wire.LedgerReport(report)}, nil
}

// ExportAgentLedger streams the agent's copy of a log as plain files.
func (s *Service) ExportAgentLedger(request *backupv1.ExportAgentLedgerRequest, stream grpc.ServerStreamingServer[backupv1.ExportAgentLedgerResponse]) error {
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return err
	}
	return d.Log.Export(wire.ExportTo(func(file *backupv1.ExportedFile) error {
		return stream.Send(&backupv1.ExportAgentLedgerResponse{File: file})
	}))
}

// agreed returns the last agreed head, nil where there is none.
func agreed(log *store.Ledger) (*backupv1.LogPosition, error) {
	note := log.Agreed()
	if note == nil {
		return nil, nil
	}
	return wire.HeadPosition(note)
}

// text is an error as a message can carry it: what comes from the system need not be UTF-8.
func text(err error) string { return strings.ToValidUTF8(err.Error(), "?") }

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
