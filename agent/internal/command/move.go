package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (p *program) move() *cobra.Command {
	request := &backupv1.MoveDestinationRequest{}
	cmd := &cobra.Command{
		Use:   "move NAME",
		Short: "Takes the place that the configuration names now as the new place of the same recordings",
		Long: "move is for a new NAS or another way to it: first copy what the old place holds to the new one (.wolkvox too, or not),\n" +
			"stop the service, name the new place in the configuration, start the service, then move. It reads everything that is\n" +
			"confirmed at the new place: what is equal stays confirmed and is not pulled again, and what is missing or altered is\n" +
			"signed as lost, so that the next run copies it while wolkvox still tries. If that is more than 1 %, nothing is signed\n" +
			"unless you accept it. The old place is not touched. Interrupted, it can be run again.\n" +
			"It exits with 0 if the new place is in use and both sides agree, and with 1 if not.",
		Example: "  wolkvox-agent destination move nas\n  wolkvox-agent destination move nas --accept-losses",
		Args:    oneDestination,
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Destination = args[0]
			return p.withAgent(cmd.Context(), true, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.runMove(ctx, client, request)
			})
		},
	}
	cmd.Flags().BoolVar(&request.AcceptLosses, "accept-losses", false, "sign what is not there as lost, although it is more than 1 %")
	return cmd
}

func (p *program) runMove(ctx context.Context, client backupv1.AgentServiceClient, request *backupv1.MoveDestinationRequest) error {
	stream, err := client.MoveDestination(ctx, request)
	if err != nil {
		return err
	}
	show := p.progress()
	defer show.end()
	complete := false
	for {
		step, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		show.audited(request.GetDestination(), step)
		if result := step.GetResult(); result != nil {
			complete = result.GetComplete()
			if err := p.moveResult(step); err != nil {
				return err
			}
		}
	}
	if !complete {
		return errBad
	}
	return nil
}

// moveResult says how a move ended.
func (p *program) moveResult(step *backupv1.MoveDestinationResponse) error {
	if p.output == outputJSON {
		return p.writeMessage(step)
	}
	_, err := fmt.Fprintln(p.stdout, step.GetResult().GetMessage())
	return err
}

// audited shows how many recordings of a new place were looked for.
func (b *progressBar) audited(name string, step *backupv1.MoveDestinationResponse) {
	if b.output == nil {
		return
	}
	if b.bar == nil {
		b.container = mpb.New(mpb.WithOutput(b.output))
		b.bar = b.container.AddBar(0,
			mpb.PrependDecorators(decor.Name(name+" ")),
			mpb.AppendDecorators(decor.CountersNoUnit("%d / %d recordings read")))
	}
	b.bar.SetTotal(max(step.GetWantedCount(), 1), false)
	b.bar.SetCurrent(step.GetAuditedCount())
	if step.GetResult() != nil {
		b.bar.SetTotal(-1, true)
		b.end()
	}
}
