package adminrpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// ListAlarms lists what people have to decide or look at.
func (s *Service) ListAlarms(ctx context.Context, req *backupv1.ListAlarmsRequest) (*backupv1.ListAlarmsResponse, error) {
	if req.GetTenant() != "" {
		if _, err := s.Registry.Tenant(req.GetTenant()); err != nil {
			return nil, s.refused(ctx, err)
		}
	}
	alarms, err := s.Registry.Alarms(req.GetTenant())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	res := &backupv1.ListAlarmsResponse{}
	for _, a := range alarms {
		d, err := s.Registry.Destination(a.Origin.Tenant(), a.Origin.Destination())
		if err != nil {
			return nil, s.refused(ctx, err)
		}
		if d.Origin == a.Origin { // nobody has to decide about a log that was restarted
			res.Alarms = append(res.Alarms, alarm(a))
		}
	}
	return res, nil
}

func alarm(a registry.Alarm) *backupv1.Alarm {
	return &backupv1.Alarm{
		Kind: backupv1.AlarmKind(a.Kind), Tenant: a.Origin.Tenant(), Destination: a.Origin.Destination(), Origin: string(a.Origin),
		RaiseTime: wire.Time(a.RaisedAt), Message: a.Message, Heads: a.Heads,
	}
}

// ClearAlarm takes note that people dealt with an alarm.
func (s *Service) ClearAlarm(ctx context.Context, req *backupv1.ClearAlarmRequest) (*backupv1.ClearAlarmResponse, error) {
	d, err := s.Registry.Destination(req.GetTenant(), req.GetDestination())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	kind := registry.AlarmKind(req.GetKind())
	_, err = s.Registry.Alarm(d.Origin, kind)
	if err == nil && kind.Stops() {
		return nil, wire.Error(codes.FailedPrecondition, wire.ReasonRestartWanted,
			"the alarm %s stops the log of %s/%s for good: `wolkvox-server ledger restart %[2]s %[3]s` begins a new one", kind, d.Tenant, d.Name)
	}
	if err == nil {
		err = s.Registry.ClearAlarm(d.Origin, kind)
	}
	if errors.Is(err, registry.ErrNotFound) {
		return nil, wire.Error(codes.NotFound, wire.ReasonNoAlarm, "no alarm %s stands for %s/%s; see `wolkvox-server alarms`", kind, d.Tenant, d.Name)
	}
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	s.done(ctx, "clear alarm "+kind.String(), string(d.Origin))
	return &backupv1.ClearAlarmResponse{}, nil
}

// RestartLog ends the log of a destination that cannot go on, and begins a new one.
func (s *Service) RestartLog(ctx context.Context, req *backupv1.RestartLogRequest) (*backupv1.RestartLogResponse, error) {
	old, err := s.Registry.Destination(req.GetTenant(), req.GetDestination())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	d, seq, err := s.Sequencers.Restart(ctx, old.Origin, time.Now())
	if errors.Is(err, sequencer.ErrSound) {
		return nil, wire.Error(codes.FailedPrecondition, wire.ReasonNoAlarm,
			"%s/%s goes on: no alarm FORK or TAIL_LOST stands, and its log is not recovering; see `wolkvox-server alarms`", old.Tenant, old.Name)
	}
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	s.done(ctx, "restart log", string(old.Origin))
	described, err := s.destination(d, seq)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return &backupv1.RestartLogResponse{Destination: described}, nil
}
