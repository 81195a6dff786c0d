package adminrpc

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// interactionsAtOnce is how many interactions are read at a time, so that a caller who is slow holds nothing.
const interactionsAtOnce = 1000

// reasonWaiting is why an interaction that no manifest counts yet has no recording.
const reasonWaiting = "waiting"

// ListUnrecorded streams the interactions of a night that have no recording at a destination.
func (s *Service) ListUnrecorded(req *backupv1.ListUnrecordedRequest, stream grpc.ServerStreamingServer[backupv1.ListUnrecordedResponse]) error {
	ctx := stream.Context()
	_, seq, err := s.sequencer(ctx, req.GetTenant(), req.GetDestination())
	if err != nil {
		return err
	}
	night, err := backup.ParseDate(req.GetNight())
	if err != nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "night is %q; give a date such as 2026-11-22", req.GetNight())
	}
	for after := ""; ctx.Err() == nil; {
		page, err := s.Registry.Announcements().InteractionsAfter(req.GetTenant(), night, seq.Origin(), after, interactionsAtOnce)
		if err != nil {
			return s.failed(ctx, err)
		}
		res := &backupv1.ListUnrecordedResponse{}
		for _, one := range page {
			if u := unrecorded(one, seq); u != nil {
				res.Interactions = append(res.Interactions, u)
			}
			after = one.ID
		}
		if len(res.Interactions) > 0 {
			if err := stream.Send(res); err != nil {
				return err
			}
		}
		if len(page) < interactionsAtOnce {
			return nil
		}
	}
	return s.failed(ctx, ctx.Err())
}

// unrecorded says why an interaction has no recording; it is nil for one that has one. What the log has counted counts.
func unrecorded(i registry.Interaction, seq *sequencer.Sequencer) *backupv1.UnrecordedInteraction {
	if len(i.Announced) == 0 {
		return nil
	}
	u := &backupv1.UnrecordedInteraction{Interaction: i.ID, Reason: i.Announced[0].NoRecording, RecordedTime: timestamppb.New(i.Announced[0].RecordedAt)}
	for _, a := range i.Announced {
		if a.SourcePath != "" {
			u.SourcePaths = append(u.SourcePaths, a.SourcePath)
		}
	}
	if i.Mark != nil && sealer.Stands(seq, *i.Mark) {
		if i.Mark.Reason == "" {
			return nil
		}
		u.Reason, u.Manifest = i.Mark.Reason, i.Mark.Manifest
		return u
	}
	if u.Reason == "" {
		u.Reason = reasonWaiting
	}
	return u
}
