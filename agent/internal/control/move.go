package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup/agent/internal/circuit"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/night"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// MoveDestination takes the place that the configuration names as the new place of the same ledger, and streams how far the
// audit of it has come.
func (s *Service) MoveDestination(request *backupv1.MoveDestinationRequest, stream grpc.ServerStreamingServer[backupv1.MoveDestinationResponse]) error {
	if !s.AtWork {
		return status.Error(codes.Unavailable, "no agent is at work: another command has the agent's state open; run this one again when that has ended")
	}
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return err
	}
	type ended struct {
		moved night.Moved
		err   error
	}
	var so atomic.Pointer[night.Moving]
	done := make(chan ended, 1)
	go func() {
		moved, err := d.Night.Move(circuit.Force(stream.Context()), request.GetAcceptLosses(), func(m night.Moving) { so.Store(&m) })
		done <- ended{moved, err}
	}()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case e := <-done:
			if err := d.moveRefused(stream.Context(), e.err); err != nil {
				return err
			}
			step := d.moving(e.moved.Moving)
			step.Result = d.moveResult(e.moved, e.err)
			return stream.Send(step)
		case <-tick.C:
			if m := so.Load(); m != nil {
				if err := stream.Send(d.moving(*m)); err != nil {
					<-done
					return err
				}
			}
		}
	}
}

func (d Destination) moving(m night.Moving) *backupv1.MoveDestinationResponse {
	return &backupv1.MoveDestinationResponse{Location: d.Location, WantedCount: m.Wanted, AuditedCount: m.Audited, LostCount: m.Lost}
}

// moveRefused returns what a move is answered that could not begin; nil where it could, whatever became of it.
func (d Destination) moveRefused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return d.placeRefused(err)
}

// placeRefused returns the error of the contract for a place that cannot be taken into use, nil for any other error.
func (d Destination) placeRefused(err error) error {
	switch {
	case errors.Is(err, dest.ErrForeignMarker), errors.Is(err, dest.ErrMarker):
		return wire.Error(codes.FailedPrecondition, wire.ReasonForeignMarker, "%s", text(err))
	case errors.Is(err, dest.ErrUnsuitable):
		return wire.Error(codes.FailedPrecondition, wire.ReasonDestinationUnfit, "%s", text(err))
	case errors.Is(err, dest.ErrUnreachable), errors.Is(err, fs.ErrNotExist):
		return wire.Error(codes.Unavailable, wire.ReasonDestinationUnreachable, "%s", d.Faults.Of(err).Message)
	}
	return nil
}

// moveResult says how a move ended, and what is next.
func (d Destination) moveResult(m night.Moved, err error) *backupv1.MoveResult {
	again := "run `wolkvox-agent destination move " + d.Name + "` again"
	switch {
	case errors.Is(err, night.ErrMassLoss):
		return &backupv1.MoveResult{Message: fmt.Sprintf("%d of %d confirmed recordings are not at %s as they were, and nothing was signed. "+
			"Copy what is missing there from the old place and %s; or %s with --accept-losses, and what wolkvox still tries is copied again while the rest is expired.",
			m.Lost, m.Wanted, d.Location, again, again)}
	case err != nil:
		return &backupv1.MoveResult{Message: fmt.Sprintf("%s; %s", text(err), again)}
	case m.Same:
		return &backupv1.MoveResult{Complete: true, Message: fmt.Sprintf("%s is the place that it was before, and nothing was done. "+
			"If another machine took over its name, delete .wolkvox/located there and %s.", d.Location, again)}
	}
	const untouched = " What the old place holds was not touched."
	if m.Lost == 0 {
		return &backupv1.MoveResult{Complete: true, Message: fmt.Sprintf("All %d confirmed recordings are at %s as they were; it is in use now.", m.Wanted, d.Location) + untouched}
	}
	message := fmt.Sprintf("%d of %d confirmed recordings are at %s as they were; it is in use now. %d signed as lost: the next run copies those that wolkvox still tries, "+
		"and the others are expired.", m.Wanted-m.Lost, m.Wanted, d.Location, m.Lost)
	if m.Altered > 0 && d.Night.Repair {
		message += fmt.Sprintf(" %d of them have something else under their names, which the next run moves to .wolkvox/aside.", m.Altered)
	} else if m.Altered > 0 {
		message += fmt.Sprintf(" %d of them have something else under their names, which was left as it is: move it away before the next run.", m.Altered)
	}
	return &backupv1.MoveResult{Complete: true, Message: message + untouched}
}
