package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/wolkvox/backup/agent/internal/notes"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// Limits is what holds back the nights of one destination. Its functions may be called from any goroutine.
type Limits struct {
	Now  func() time.Time      // the server's time; this machine's where the server was not heard
	Zone func() *time.Location // the tenant's; nil where the server has not named it
	// NextEnd returns when the first night after an instant ends; false where the server has not named the window.
	NextEnd  func(at time.Time) (time.Time, bool)
	Pause    func() *notes.Pause // nil where it is not paused now
	SetPause func(notes.Pause) error
	Resume   func() error
	Rate     func() int64         // measured in the last runs, in bytes per second; 0 where none was
	Limit    func() (int64, bool) // in bytes per second; false where none holds now
	// Hindrances are what keeps a pass from beginning by itself now, each without a full stop.
	Hindrances func() []string
}

// pause describes the pause; nil where there is none, or the destination has no limits.
func (l Limits) pause() *backupv1.Pause {
	if l.Pause == nil {
		return nil
	}
	p := l.Pause()
	if p == nil {
		return nil
	}
	return &backupv1.Pause{UntilTime: timestamp(p.Until), Reason: p.Reason}
}

// nameZone tells the caller by whose clock the tenant's days begin, where that is known.
func (s *Service) nameZone(ctx context.Context) error {
	for _, d := range s.Destinations {
		if d.Limits.Zone == nil {
			continue
		}
		if zone := d.Limits.Zone(); zone != nil { // an agent serves one tenant
			return grpc.SetHeader(ctx, metadata.Pairs(wire.TimeZoneHeader, zone.String()))
		}
	}
	return nil
}

// chosen returns the destination with a name, or all where it is empty.
func (s *Service) chosen(name string) ([]Destination, error) {
	if name == "" {
		return s.Destinations, nil
	}
	d, err := s.destination(name)
	return []Destination{d}, err
}

// PauseDestination keeps nights from beginning by themselves.
func (s *Service) PauseDestination(_ context.Context, request *backupv1.PauseDestinationRequest) (*backupv1.PauseDestinationResponse, error) {
	chosen, err := s.chosen(request.GetDestination())
	if err != nil {
		return nil, err
	}
	until, err := wire.ParseTime(request.GetPause().GetUntilTime())
	if err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the end of the pause: %v", err)
	}
	pause := notes.Pause{Until: until.Truncate(time.Second), Reason: strings.TrimSpace(request.GetPause().GetReason())}
	if err := pause.Check(); err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "pause: %v", err)
	}
	for _, d := range chosen {
		if now := d.Limits.Now(); pause.Ended(now) {
			return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest,
				"a pause until %s would be over already (it is %s now): name a later time", pause.Until.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		}
	}
	response := &backupv1.PauseDestinationResponse{}
	for _, d := range chosen {
		if err := d.Limits.SetPause(pause); err != nil {
			return nil, err
		}
		response.Destinations = append(response.Destinations, d.Name)
	}
	return response, nil
}

// ResumeDestination ends pauses.
func (s *Service) ResumeDestination(_ context.Context, request *backupv1.ResumeDestinationRequest) (*backupv1.ResumeDestinationResponse, error) {
	chosen, err := s.chosen(request.GetDestination())
	if err != nil {
		return nil, err
	}
	response := &backupv1.ResumeDestinationResponse{}
	for _, d := range chosen {
		paused := d.Limits.Pause() != nil
		if err := d.Limits.Resume(); err != nil {
			return nil, err
		}
		if paused {
			response.Destinations = append(response.Destinations, d.Name)
		}
	}
	return response, nil
}

// PlanRun says what a run would fetch now, and how long it would take.
func (s *Service) PlanRun(_ context.Context, request *backupv1.PlanRunRequest) (*backupv1.PlanRunResponse, error) {
	chosen, err := s.chosen(request.GetDestination())
	if err != nil {
		return nil, err
	}
	response := &backupv1.PlanRunResponse{}
	for _, d := range chosen {
		plan, err := d.plan(s.AtWork)
		if err != nil {
			return nil, err
		}
		response.Plans = append(response.Plans, plan)
	}
	return response, nil
}

// hindrance separates what keeps a run from beginning.
const hindrance = "; "

func (d Destination) plan(atWork bool) (*backupv1.RunPlan, error) {
	work, err := d.Night.Plan()
	if err != nil {
		return nil, err
	}
	plan := &backupv1.RunPlan{Destination: d.Name, ItemCount: work.Items, Bytes: work.Bytes, FirstDeadlineTime: timestamp(work.Deadline)}
	lowest := int64(0)
	if rate := d.Limits.Rate(); rate > 0 {
		plan.MeasuredBytesPerSecond = &rate
		lowest = rate
	}
	if limit, ok := d.Limits.Limit(); ok {
		plan.LimitBytesPerSecond = &limit
		if lowest == 0 || limit < lowest {
			lowest = limit
		}
	}
	if lowest > 0 {
		plan.EstimatedDuration = durationpb.New(spent(work.Bytes, lowest))
	}
	hindrances := d.Limits.Hindrances()
	if !atWork {
		hindrances = slices.Insert(hindrances, 0, "no agent service is running")
	}
	plan.Hindrance = strings.ToValidUTF8(strings.Join(hindrances, hindrance), "?")
	return plan, nil
}

// longest is as long as an estimate may be.
const longest = 100 * 365 * 24 * time.Hour

func spent(sizeBytes, bytesPerSecond int64) time.Duration {
	seconds := float64(sizeBytes) / float64(bytesPerSecond)
	if seconds >= longest.Seconds() {
		return longest
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second)
}
