package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func (a *app) findCommand() *cobra.Command {
	query := &backupv1.RecordingQuery{}
	var destination string
	command := &cobra.Command{
		Use:   "find TENANT [NAME]",
		Short: "Say where recordings are and what became of them",
		Long: `Looks in all destinations of a tenant for recordings by a part of their path, at the
destination or at the source; by their interaction; or by their night; and for those that
fit all that is given. The exit status is 1 where there is none. With --output json every
recording is an object on a line of its own.`,
		Example: `  wolkvox-server find acme 20261121-1830
  wolkvox-server find acme --interaction 1795115700.25
  wolkvox-server find acme --date 2026-11-21 --destination nas`,
		Args: between(1, "TENANT", "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				query.Name = args[1]
			}
			if query.GetName() == "" && query.GetInteraction() == "" && query.GetNight() == "" {
				return usage("give a NAME or a part of it, --interaction or --date")
			}
			if _, err := backup.ParseDate(query.GetNight()); query.GetNight() != "" && err != nil {
				return usage("--date: %v", err)
			}
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				return a.showFound(ctx, admin, &backupv1.FindRecordingsRequest{Tenant: args[0], Destination: destination, Query: query})
			})
		},
	}
	command.Flags().StringVar(&query.Interaction, "interaction", "", "the `ID` of the recordings' call or chat")
	command.Flags().StringVar(&query.Night, "date", "", "their night, `YYYY-MM-DD`")
	command.Flags().StringVar(&destination, "destination", "", "only in this `DESTINATION`")
	return command
}

func (a *app) showFound(ctx context.Context, admin backupv1.AdminServiceClient, request *backupv1.FindRecordingsRequest) error {
	stream, err := admin.FindRecordings(ctx, request)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for found := 0; ; {
		page, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && found == 0:
			return errors.New("no manifest has such a recording")
		case errors.Is(err, io.EOF):
			return w.Flush()
		case err != nil:
			return errors.Join(w.Flush(), err)
		}
		for _, f := range page.GetRecordings() {
			if found++; found == 1 && a.output != outputJSON {
				row(w, "DESTINATION", "NIGHT", "ITEM", "STATE", "SIZE", "SHA-256", "INTERACTION", "PATH", "LAST FAULT")
			}
			if err := a.foundRow(w, f); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

func (a *app) foundRow(w *tabwriter.Writer, f *backupv1.FoundRecording) error {
	if a.output == outputJSON {
		text, err := wire.CompactJSON(f)
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(append(text, '\n'))
		return err
	}
	item := f.GetItem()
	row(w, f.GetDestination(), f.GetNight(), fmt.Sprintf("%d/%d", item.GetManifest(), item.GetIndex()), label(item.GetState(), "ITEM_STATE_"),
		bytesText(item.GetSizeBytes()), fmt.Sprintf("%x", item.GetSha256()), item.GetInteraction(), item.GetPath(), faultText(item.GetLastFault()))
	return nil
}
