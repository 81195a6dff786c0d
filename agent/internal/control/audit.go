package control

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/circuit"
	"github.com/wolkvox/backup/agent/internal/night"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// AuditDestination compares what the ledger says with what a destination holds, and streams what it finds.
func (s *Service) AuditDestination(request *backupv1.AuditDestinationRequest, stream grpc.ServerStreamingServer[backupv1.AuditDestinationResponse]) error {
	if !s.AtWork {
		return status.Error(codes.Unavailable, "no agent is at work: another command has the agent's state open; run this one again when that has ended")
	}
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return err
	}
	options, err := d.auditOptions(request)
	if err != nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "%s", text(err))
	}
	ctx, cancel := context.WithCancelCause(circuit.Force(stream.Context()))
	defer cancel(nil)
	findings := make(chan audit.Finding, 64)
	type ended struct {
		report audit.Report
		err    error
	}
	done := make(chan ended, 1)
	var so atomic.Pointer[audit.Counts]
	go func() {
		report, err := d.Night.Audit(ctx, night.AuditRequest{
			Options: options, Limiter: audit.NewLimiter(request.GetBytesPerSecond()), Fresh: request.GetFromStart(),
			Found: func(f audit.Finding) error {
				select {
				case findings <- f:
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			},
			Watch: func(c audit.Counts) { so.Store(&c) },
		})
		close(findings)
		done <- ended{report, err}
	}()
	err = d.streamFindings(stream, findings, &so)
	if err != nil {
		cancel(err)
		for range findings { // it ends now
			continue
		}
	}
	e := <-done
	switch {
	case err != nil:
		return err
	case errors.Is(e.err, night.ErrAuditing):
		return wire.Error(codes.FailedPrecondition, wire.ReasonAuditing, "%s: wait for it to end, or stop it", text(e.err))
	case e.err != nil:
		return e.err
	}
	return stream.Send(&backupv1.AuditDestinationResponse{Counts: auditCounts(e.report.Counts), Report: d.auditReport(e.report, d.Night.Audits)})
}

// maxFindings is how many findings one response carries.
const maxFindings = 200

// streamFindings sends what is found as it is found, and now and then how far the audit has come, until there is no more.
func (d Destination) streamFindings(stream grpc.ServerStreamingServer[backupv1.AuditDestinationResponse], findings <-chan audit.Finding, so *atomic.Pointer[audit.Counts]) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	step := &backupv1.AuditDestinationResponse{}
	for {
		send := false
		f, more := audit.Finding{}, true
		select {
		case f, more = <-findings:
			if more {
				step.Findings = append(step.Findings, d.auditFinding(f))
			}
			send = !more || len(step.Findings) == maxFindings
		case <-tick.C:
			send = true
		}
		if c := so.Load(); c != nil {
			step.Counts = auditCounts(*c)
		}
		if send && (step.Counts != nil || len(step.Findings) > 0) {
			if err := stream.Send(step); err != nil {
				return err
			}
			step = &backupv1.AuditDestinationResponse{}
		}
		if !more {
			return nil
		}
	}
}

func (d Destination) auditOptions(request *backupv1.AuditDestinationRequest) (audit.Options, error) {
	o := audit.Options{Percent: request.GetSamplePercent(), Seed: request.GetSeed()}
	switch request.GetLevel() {
	case backupv1.AuditLevel_AUDIT_LEVEL_LIST:
		o.Level = audit.List
	case backupv1.AuditLevel_AUDIT_LEVEL_READ:
		o.Level = audit.Read
	}
	if o.Percent == 0 {
		o.Percent = 100
	}
	if o.Percent == 100 {
		o.Seed = ""
	} else if o.Seed == "" {
		o.Seed = d.Night.Today().String()
	}
	if request.GetBytesPerSecond() < 0 {
		return o, errors.New("the rate is negative; give bytes per second")
	}
	return o, o.Check()
}

func auditCounts(c audit.Counts) *backupv1.AuditCounts {
	return &backupv1.AuditCounts{
		WantedCount: c.Wanted, LookedCount: c.Looked, ReadBytes: c.ReadBytes, PresentCount: c.Present, MissingCount: c.Missing,
		AlteredCount: c.Altered, UnreadableCount: c.Unreadable, ReleasedCount: c.Released, ExtraCount: c.Extra,
	}
}

func (d Destination) auditFinding(f audit.Finding) *backupv1.AuditFinding {
	m := &backupv1.AuditFinding{Class: auditClasses()[f.Class], Name: strings.ToValidUTF8(f.Name, "\uFFFD"), Manifest: f.Manifest, Index: f.Index}
	if f.Manifest > 0 {
		d.Log.View(func(log *ledger.Log) {
			if sealed, ok := log.Manifest(f.Manifest); ok {
				m.Night = sealed.Night.String()
			}
		})
	}
	if f.SHA256 != "" || f.Class == audit.Extra {
		m.SizeBytes = &f.SizeBytes
		m.Sha256, _ = hex.DecodeString(f.SHA256) // as the audit wrote it
	}
	if f.FaultClass != "" {
		m.Fault = wire.Fault(store.Fault{Class: f.FaultClass, Party: f.Party, Code: f.Code, Message: f.Message, Last: d.Night.Now(), Attempts: 1})
	}
	return m
}

// lastAudit returns how the last audit ended, or the last round of the rolling one, whichever was later; nil where there was none.
func (d Destination) lastAudit() (last *backupv1.AuditReport, err error) {
	var latest audit.Report
	for _, journal := range []*audit.Journal{d.Night.Audits, d.Night.Rounds} {
		if journal == nil {
			continue
		}
		report, ok, err := journal.Last()
		if err != nil {
			return nil, err
		}
		if ok && report.Ended.After(latest.Ended) {
			latest, last = report, d.auditReport(report, journal)
		}
	}
	return last, nil
}

func (d Destination) auditReport(r audit.Report, from *audit.Journal) *backupv1.AuditReport {
	m := &backupv1.AuditReport{
		Level: auditLevels()[r.Level], SamplePercent: r.Percent, Seed: strings.ToValidUTF8(r.Seed, "\uFFFD"), StartTime: timestamp(r.Began), EndTime: timestamp(r.Ended),
		Counts: auditCounts(r.Counts), SignedCount: r.Signed, RecoveredCount: r.Recovered, WentBack: r.WentBack,
		Outcome: auditOutcomes()[r.Outcome], FindingsPath: from.FindingsPath(),
	}
	m.Message = strings.ToValidUTF8(d.auditMessage(r), "?")
	return m
}

// Release signs that the client's own retention gives up recordings.
func (s *Service) Release(ctx context.Context, request *backupv1.ReleaseRequest) (*backupv1.ReleaseResponse, error) {
	if !s.AtWork {
		return nil, status.Error(codes.Unavailable, "no agent is at work: another command has the agent's state open; run this one again when that has ended")
	}
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return nil, err
	}
	var r night.Release
	switch {
	case request.GetNight() != "" && request.GetOlderThanDays() == 0:
		if r.Night, err = backup.ParseDate(request.GetNight()); err != nil {
			return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the night: %s", text(err))
		}
	case request.GetNight() == "" && request.GetOlderThanDays() > 0:
		r.OlderThanDays = int(request.GetOlderThanDays())
	default:
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "give either a night or a number of days greater than 0")
	}
	released, err := d.Night.Release(ctx, r)
	if err != nil {
		return nil, err
	}
	response := &backupv1.ReleaseResponse{ItemCount: released.Items, Bytes: released.Bytes}
	if released.Items > 0 {
		response.FirstNight, response.LastNight = released.First.String(), released.Last.String()
	}
	return response, nil
}
