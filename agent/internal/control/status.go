package control

import (
	"context"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/uplink"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// GetStatus says how every destination is. It asks neither the server nor a destination, so that it answers at once.
func (s *Service) GetStatus(ctx context.Context, _ *backupv1.GetStatusRequest) (*backupv1.GetStatusResponse, error) {
	response := &backupv1.GetStatusResponse{
		Agent: s.Agent, Version: s.Version, ServerAddress: s.ServerAddress, CertificateExpireTime: timestamp(s.CertificateEnd()),
	}
	if err := s.ServerProblem(); err != nil {
		response.ServerProblem = text(err)
	}
	for _, problem := range s.Problems() {
		response.Problems = append(response.Problems, strings.ToValidUTF8(problem, "?"))
	}
	if offset, known := s.ClockOffset(); known {
		response.ClockOffset = durationpb.New(offset)
	}
	for _, d := range s.Destinations {
		status, err := d.status(ctx)
		if err != nil {
			return nil, err
		}
		response.Destinations = append(response.Destinations, status)
	}
	return response, s.nameZone(ctx)
}

func (d Destination) status(ctx context.Context) (*backupv1.DestinationStatus, error) {
	condition := d.Night.Condition()
	size, root := d.Log.Position()
	total, err := d.Log.Total()
	if err != nil {
		return nil, err
	}
	status := &backupv1.DestinationStatus{
		Name: d.Name, Origin: string(d.Log.Origin()), Location: d.Location,
		Counts: wire.Counts(total), OutboxCount: int64(d.Log.OutboxLen()), Position: wire.Position(size, root),
		Evidence: evidenceStatus(d.Night.Evidence()),
		Running:  condition.Running, LastRunTime: timestamp(condition.LastRun), Check: d.lastCheck(), Pause: d.Limits.pause(),
	}
	if status.Agreed, err = agreed(d.Log); err != nil {
		return nil, err
	}
	if status.Audit, err = d.lastAudit(); err != nil {
		return nil, err
	}
	problem := d.LogProblem()
	if condition.Problem != nil && !uplink.ForPeople(problem) {
		problem = condition.Problem
	}
	if problem != nil {
		status.Problem = text(problem)
	}
	space, known, err := d.Space()
	switch {
	case err != nil:
		f := d.Faults.Of(err)
		status.LastFault = &backupv1.Fault{Class: f.Class, Party: f.Party, Code: f.Code, Message: f.Message}
		if status.Problem == "" {
			status.Problem = f.Message
		}
	case known:
		status.FreeBytes = &space.FreeBytes
	}
	if f := condition.Fault; f != nil && status.LastFault == nil {
		status.LastFault = wire.Fault(*f)
	}
	status.Circuit = wire.Circuit(d.Night.LeftAlone())
	if c := status.GetCircuit(); c != nil && (status.Problem == "" || !uplink.ForPeople(problem)) {
		status.Problem, status.LastFault = c.GetFault().GetMessage(), c.GetFault()
	}
	if status.Nights, err = nights(d.Log); err != nil {
		return nil, err
	}
	for _, n := range status.Nights {
		if f := n.GetLastFault(); f != nil && (status.LastFault == nil || status.LastFault.GetLastTime().AsTime().Before(f.GetLastTime().AsTime())) {
			status.LastFault = f
		}
	}
	status.Forecast, err = d.forecast(ctx, status.FreeBytes)
	return status, err
}

// nights returns those that are open or hold expired items, and the latest one.
func nights(log *store.Ledger) ([]*backupv1.Night, error) {
	var manifests []ledger.Manifest
	log.View(func(l *ledger.Log) { manifests = append(manifests, l.Manifests...) })
	var all []*backupv1.Night
	for i, m := range manifests {
		counts, err := log.Counts(m.Number)
		if err != nil {
			return nil, err
		}
		if !m.Open && counts[backup.Expired] == 0 && i != len(manifests)-1 {
			continue
		}
		night, err := wire.Night(log, m)
		if err != nil {
			return nil, err
		}
		all = append(all, night)
	}
	return all, nil
}
