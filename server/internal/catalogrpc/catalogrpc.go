// Package catalogrpc serves CatalogService: it reads what a recording platform announces and has the registry keep it.
// Whether it is there, and what is sealed of it, is the sealer's affair; who may call is judged before (package authz).
package catalogrpc

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/rpcerror"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// MaxAnnouncements is how many announcements one call may have.
const MaxAnnouncements = 1000

// Service implements CatalogService. Its fields are set before the first call and all required; its methods may be called
// concurrently.
type Service struct {
	backupv1.UnsafeCatalogServiceServer
	Registry   *registry.Registry
	Sequencers *sequencer.Set
	Logger     *slog.Logger
}

// RegisterRecordings keeps what is announced, and says of each announcement what became of it.
func (s *Service) RegisterRecordings(ctx context.Context, req *backupv1.RegisterRecordingsRequest) (*backupv1.RegisterRecordingsResponse, error) {
	res, err := s.register(req, time.Now())
	if err == nil {
		return res, nil
	}
	var ended *registry.EndedError
	switch {
	case errors.As(err, &ended):
		return nil, wire.Error(codes.FailedPrecondition, wire.ReasonRetired, "%v: nothing is copied for it any more", ended)
	case errors.Is(err, registry.ErrNotFound):
		return nil, wire.Error(codes.NotFound, wire.ReasonNoTenant, "there is no tenant %q", req.GetTenant())
	}
	if wire.Reason(err) == "" {
		s.Logger.LogAttrs(ctx, slog.LevelError, "recordings not registered", slog.String("tenant", req.GetTenant()), slog.Any("error", err))
	}
	return nil, rpcerror.Status(err)
}

func (s *Service) register(req *backupv1.RegisterRecordingsRequest, at time.Time) (*backupv1.RegisterRecordingsResponse, error) {
	if n := len(req.GetAnnouncements()); n > MaxAnnouncements {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonTooLarge, "there are %d announcements; send at most %d in one call", n, MaxAnnouncements)
	}
	form, err := s.form(req.GetTenant(), at)
	if err != nil {
		return nil, err
	}
	logs, err := s.logs(req.GetTenant())
	if err != nil {
		return nil, err
	}
	res := &backupv1.RegisterRecordingsResponse{Verdicts: make([]*backupv1.AnnouncementVerdict, len(req.GetAnnouncements()))}
	var announced []registry.Announcement
	var positions []int // of each that is well formed
	for i, m := range req.GetAnnouncements() {
		a, refused := form.parse(m)
		if refused != nil {
			res.Verdicts[i] = refused
			continue
		}
		announced = append(announced, a)
		positions = append(positions, i)
	}
	verdicts, err := s.Registry.Announcements().Register(req.GetTenant(), announced, logs)
	if err != nil {
		return nil, err
	}
	for i, verdict := range verdicts {
		res.Verdicts[positions[i]] = answer(verdict, announced[i])
	}
	return res, nil
}

// form returns what announcements of a tenant are held against.
func (s *Service) form(tenant string, at time.Time) (form, error) {
	t, err := s.Registry.Tenant(tenant)
	if err != nil {
		return form{}, err
	}
	zone, err := t.Location()
	if err != nil {
		return form{}, err
	}
	sources, err := s.Registry.Sources(tenant)
	if err != nil {
		return form{}, err
	}
	f := form{zone: zone, at: at, sources: map[string]bool{}}
	for _, one := range sources {
		f.sources[one.Name] = true
	}
	return f, nil
}

// logs returns the logs in which the tenant's announcements may have been sealed.
func (s *Service) logs(tenant string) ([]registry.SealedLog, error) {
	destinations, err := s.Registry.Destinations(tenant)
	if err != nil {
		return nil, err
	}
	var logs []registry.SealedLog
	for _, d := range destinations {
		if seq, ok := s.Sequencers.Of(d.Origin); ok {
			logs = append(logs, registry.SealedLog{
				Origin: d.Origin,
				Has:    func(manifest int64) bool { return manifest <= seq.Last() },
				Stands: func(m registry.Mark) bool { return sealer.Stands(seq, m) },
			})
		}
	}
	return logs, nil
}

// answer says of an announcement that was well formed what became of it.
func answer(verdict registry.Verdict, a registry.Announcement) *backupv1.AnnouncementVerdict {
	m := &backupv1.AnnouncementVerdict{Verdict: backupv1.AnnouncementVerdict_Verdict(verdict)}
	switch verdict {
	case registry.VerdictAlreadySealed:
		m.Message = "something else was announced before and is sealed: that stays"
	case registry.VerdictConflict:
		m.Message = "the interaction was sealed as one without a recording, and stays so"
		if a.SourcePath == "" {
			m.Message = "a recording of the interaction is sealed, and stays so"
		}
	case registry.VerdictRefused:
		return refuse(wire.ReasonTooManyRecordings, "the night %s has %d announcements, or the interaction %d recordings: no more are kept",
			a.Night, registry.MaxAnnouncedNight, registry.MaxAnnouncedInteraction)
	}
	return m
}
