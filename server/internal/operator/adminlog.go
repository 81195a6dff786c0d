package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func (a *app) adminLogCommand() *cobra.Command {
	var after int64
	command := &cobra.Command{
		Use:   "admin-log [TENANT]",
		Short: "Show who changed what, when and why",
		Long: `Shows what was done by whom and why, oldest first. With --output json each record is one
line, and the previous of a record is the SHA-256 of the line before it, without its
end; 64 zeros in the first.`,
		Example: `  wolkvox-server admin-log acme --after 1200
  wolkvox-server admin-log --output json > admin-log.jsonl`,
		Args: between(0, "TENANT"),
		RunE: func(c *cobra.Command, args []string) error {
			if after < 0 {
				return usage("--after is %d; it is the number of the last record that is not wanted", after)
			}
			request := &backupv1.ReadAdminLogRequest{AfterNumber: after}
			if len(args) > 0 {
				request.Tenant = args[0]
			}
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				stream, err := admin.ReadAdminLog(ctx, request)
				if err != nil {
					return err
				}
				return a.showAdminLog(stream.Recv)
			})
		},
	}
	command.Flags().Int64Var(&after, "after", 0, "only records after the `NUMBER`")
	return command
}

func (a *app) showAdminLog(receive func() (*backupv1.ReadAdminLogResponse, error)) error {
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	if a.output != outputJSON {
		row(w, "NUMBER", "TIME", "WHO", "ACT", "TENANT", "OUTCOME", "REASON", "SUBJECT")
	}
	for {
		page, err := receive()
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err != nil {
			return errors.Join(w.Flush(), err)
		}
		for _, r := range page.GetRecords() {
			if a.output != outputJSON {
				row(w, r.GetNumber(), instant(r.GetTime()), r.GetWho(), r.GetAct(), r.GetTenant(), r.GetOutcome(), r.GetReason(), r.GetSubject())
				continue
			}
			line, err := wire.CompactJSON(r)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(a.stdout, "%s\n", line); err != nil {
				return err
			}
		}
	}
}
