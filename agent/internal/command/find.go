package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func (p *program) find() *cobra.Command {
	query := &backupv1.RecordingQuery{}
	var destination string
	cmd := &cobra.Command{
		Use:   "find [NAME]",
		Short: "Says where recordings are and what became of them",
		Long: "find looks in all destinations for recordings by a part of their path, at the destination or at wolkvox; by their\n" +
			"interaction; or by their night; and for those that fit all that is given. It exits with 1 where there is none. With\n" +
			"--output json every recording is an object on a line of its own.",
		Example: "  wolkvox-agent find 20261121-1830\n  wolkvox-agent find --interaction 1795115700.25\n  wolkvox-agent find --date 2026-11-21 --destination nas",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				query.Name = args[0]
			}
			if len(args) > 1 || query.GetName() == "" && query.GetInteraction() == "" && query.GetNight() == "" {
				return usageError{errors.New("give one NAME or a part of it, or --interaction, or --date")}
			}
			if _, err := backup.ParseDate(query.GetNight()); query.GetNight() != "" && err != nil {
				return usageError{fmt.Errorf("--date: %w", err)}
			}
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.writeFound(ctx, client, &backupv1.FindAgentRecordingsRequest{Destination: destination, Query: query})
			})
		},
	}
	cmd.Flags().StringVar(&destination, "destination", "", "only in this destination")
	cmd.Flags().StringVar(&query.Interaction, "interaction", "", "the identifier of the recordings' call or chat")
	cmd.Flags().StringVar(&query.Night, "date", "", "their night, YYYY-MM-DD")
	return cmd
}

func (p *program) writeFound(ctx context.Context, client backupv1.AgentServiceClient, request *backupv1.FindAgentRecordingsRequest) error {
	stream, err := client.FindAgentRecordings(ctx, request)
	if err != nil {
		return err
	}
	for found := 0; ; {
		page, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && found == 0:
			return errors.New("no manifest has such a recording")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		for _, f := range page.GetRecordings() {
			found++
			if err := p.writeFoundOne(f); err != nil {
				return err
			}
		}
	}
}

func (p *program) writeFoundOne(f *backupv1.FoundRecording) error {
	if p.output == outputJSON {
		text, err := wire.CompactJSON(f)
		if err != nil {
			return err
		}
		_, err = p.stdout.Write(append(text, '\n'))
		return err
	}
	item := f.GetItem()
	_, err := fmt.Fprintf(p.stdout, "%s  %s  %d/%d  %s  %s  %q\n", f.GetDestination(), f.GetNight(), item.GetManifest(), item.GetIndex(),
		stateText(item.GetState()), bytesText(item.GetSizeBytes()), item.GetPath())
	if fault := item.GetLastFault(); fault != nil && err == nil {
		_, err = fmt.Fprintf(p.stdout, "    %s (%s): %s\n", fault.GetClass(), fault.GetParty(), fault.GetMessage())
	}
	return err
}
