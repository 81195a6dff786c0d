package operator

import (
	"context"
	"text/tabwriter"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "run TENANT DESTINATION",
		Short:   "Ask the agent of a destination to run now",
		Long:    `Asks the agent of a destination, with its next heartbeat, to copy now what is pending.`,
		Example: `  wolkvox-server run acme nas`,
		Args:    exactly("TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.RequestRun(ctx, &backupv1.RequestRunRequest{Tenant: args[0], Destination: args[1]})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) {
					row(w, "The agent of "+args[0]+"/"+args[1]+" will be asked with its next heartbeat.")
				})
			})
		},
	}
}
