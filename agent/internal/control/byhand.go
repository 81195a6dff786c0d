package control

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/acts"
	"github.com/wolkvox/backup/agent/internal/night"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

// maxSelectedPaths is how many paths one selection has at most.
const maxSelectedPaths = 10_000

// only returns the destination with a name; without one the only destination.
func (s *Service) only(name string) (Destination, error) {
	if name == "" && len(s.Destinations) != 1 {
		var names []string
		for _, d := range s.Destinations {
			names = append(names, d.Name)
		}
		return Destination{}, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "name one of the destinations: %s", strings.Join(names, ", "))
	}
	if name == "" {
		return s.Destinations[0], nil
	}
	return s.destination(name)
}

func (s *Service) checkAtWork() error {
	if !s.AtWork {
		return status.Error(codes.Unavailable, "no agent is at work: another command has the agent's state open; run this one again when that has ended")
	}
	return nil
}

// selected returns the destination and the expired items that a person means.
func (s *Service) selected(ctx context.Context, selection *backupv1.ItemSelection) (Destination, night.Chosen, error) {
	d, err := s.only(selection.GetDestination())
	if err != nil {
		return d, nil, err
	}
	bad := func(format string, args ...any) (Destination, night.Chosen, error) {
		return d, nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, format, args...)
	}
	given := 0
	for _, is := range []bool{selection.GetNight() != "", len(selection.GetPaths()) > 0, selection.GetAll()} {
		if is {
			given++
		}
	}
	if given != 1 {
		return bad("say which recordings: those of one night, those with some paths, or all")
	}
	choice := night.Choice{Paths: selection.GetPaths()}
	if len(choice.Paths) > maxSelectedPaths {
		return bad("%d paths are named, and %d are allowed at a time", len(choice.Paths), maxSelectedPaths)
	}
	if text := selection.GetNight(); text != "" {
		if choice.Night, err = backup.ParseDate(text); err != nil {
			return bad("the night: %v", err)
		}
	}
	if err := d.Night.Learn(ctx); err != nil {
		return d, nil, err
	}
	chosen, unknown, err := d.Night.Choose(choice, backup.Expired)
	switch {
	case err != nil:
		return d, nil, err
	case len(unknown) > 0:
		return d, nil, wire.Error(codes.NotFound, wire.ReasonNoItem, "%s has no expired recording %q, and %d more that were named; nothing was done: see `wolkvox-agent expired list %[1]s`",
			d.Name, unknown[0], len(unknown)-1)
	case chosen.Len() == 0:
		return d, nil, wire.Error(codes.NotFound, wire.ReasonNoItem, "none of these recordings of %s is expired; nothing was done", d.Name)
	}
	return d, chosen, nil
}

// acts returns what writes down that a person does something.
func (s *Service) acts(ctx context.Context, d Destination, act, reason string, by *backupv1.Person) (night.Acts, error) {
	if err := acts.CheckName(by.GetName()); err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "who does it: %v", err)
	}
	user := callerUser(ctx)
	return func(manifest int64, items ledger.Set) error {
		return s.Acts.Add(acts.Act{Time: d.Night.Now(), Act: act, Destination: d.Name, Origin: string(d.Log.Origin()), Manifest: manifest,
			Items: items.String(), Reason: reason, By: by.GetName(), User: user})
	}, nil
}

// FetchExpired copies expired recordings now and streams how far it has come.
func (s *Service) FetchExpired(request *backupv1.FetchExpiredRequest, stream grpc.ServerStreamingServer[backupv1.FetchExpiredResponse]) error {
	ctx := stream.Context()
	if err := s.checkAtWork(); err != nil {
		return err
	}
	d, chosen, err := s.selected(ctx, request.GetSelection())
	if err != nil {
		return err
	}
	act, err := s.acts(ctx, d, acts.Fetch, "", request.GetPerson())
	if err != nil {
		return err
	}
	sizeBytes, err := d.Night.Size(chosen)
	if err != nil {
		return err
	}
	before := d.Night.Total()
	step := func() *backupv1.FetchExpiredResponse {
		now := d.Night.Total()
		return &backupv1.FetchExpiredResponse{Destination: d.Name, WantedCount: chosen.Len(), WantedBytes: sizeBytes,
			ConfirmedCount: now.ConfirmedItems - before.ConfirmedItems, FetchedBytes: now.FetchedBytes - before.FetchedBytes}
	}
	type ended struct {
		night.ByHand
		err error
	}
	done := make(chan ended, 1)
	go func() {
		fetched, err := d.Night.FetchExpired(ctx, chosen, act)
		done <- ended{fetched, err}
	}()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case e := <-done:
			if e.err != nil {
				return e.err
			}
			last := step()
			last.ConfirmedCount = e.Confirmed.Len()
			last.Result = &backupv1.FetchExpiredResult{Complete: last.ConfirmedCount == last.WantedCount}
			if !last.Result.Complete {
				last.Result.Message = d.words().notFetched(last.WantedCount-last.ConfirmedCount, e.ByHand)
			}
			last.Result.Agreed, _ = agreed(d.Log)
			return stream.Send(last)
		case <-tick.C:
			if err := stream.Send(step()); err != nil {
				<-done
				return err
			}
		}
	}
}

var waiverReasons = map[backupv1.WaiverReason]string{
	backupv1.WaiverReason_WAIVER_REASON_DECLINED:       ledger.WaivedDeclined,
	backupv1.WaiverReason_WAIVER_REASON_NOT_NEEDED:     ledger.WaivedNotNeeded,
	backupv1.WaiverReason_WAIVER_REASON_KEPT_ELSEWHERE: ledger.WaivedKeptElsewhere,
}

// WaiveItems declines expired recordings.
func (s *Service) WaiveItems(ctx context.Context, request *backupv1.WaiveItemsRequest) (*backupv1.WaiveItemsResponse, error) {
	if err := s.checkAtWork(); err != nil {
		return nil, err
	}
	reason, ok := waiverReasons[request.GetReason()]
	if !ok {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "say why: the reason is missing or unknown")
	}
	d, chosen, err := s.selected(ctx, request.GetSelection())
	if err != nil {
		return nil, err
	}
	act, err := s.acts(ctx, d, acts.Waive, reason, request.GetPerson())
	if err != nil {
		return nil, err
	}
	waived, err := d.Night.Waive(ctx, chosen, reason, act)
	if err != nil {
		return nil, fmt.Errorf("decline recordings of %s: %w", d.Name, err)
	}
	return &backupv1.WaiveItemsResponse{Destination: d.Name, WaivedCount: waived.Len()}, nil
}
