package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (p *program) release() *cobra.Command {
	request := &backupv1.ReleaseRequest{}
	cmd := &cobra.Command{
		Use:   "release NAME",
		Short: "Says in the ledger that your own retention gives up confirmed recordings, before you delete them",
		Long: "release signs for what is confirmed of one night, or of all nights that are more than so many days ago, that you give it up.\n" +
			"Afterwards an audit does not miss it, and you may delete it; release itself deletes nothing. It cannot be taken back.\n" +
			"It ends with 0 when that is in the ledger.",
		Example: "  wolkvox-agent release nas --night 2024-03-01\n  wolkvox-agent release nas --older-than 730",
		Args:    oneDestination,
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Destination = args[0]
			if (request.GetNight() == "") == (request.GetOlderThanDays() == 0) {
				return usageError{errors.New("give --night or --older-than")}
			}
			if _, err := backup.ParseDate(request.GetNight()); request.GetNight() != "" && err != nil {
				return usageError{fmt.Errorf("--night is %q; give a date such as 2024-03-01", request.GetNight())}
			}
			if request.GetOlderThanDays() < 0 {
				return usageError{fmt.Errorf("--older-than is %d; give a number of days", request.GetOlderThanDays())}
			}
			return p.withAgent(cmd.Context(), true, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				response, err := client.Release(ctx, request)
				if err != nil {
					return err
				}
				if p.output == outputJSON {
					return p.writeMessage(response)
				}
				if response.GetItemCount() == 0 {
					_, err = fmt.Fprintln(p.stdout, "Nothing of that is confirmed, and nothing was released.")
					return err
				}
				_, err = fmt.Fprintf(p.stdout, "%d recordings (%s) of the nights %s to %s are released in the ledger: you may delete them now.\n",
					response.GetItemCount(), bytesText(response.GetBytes()), response.GetFirstNight(), response.GetLastNight())
				return err
			})
		},
	}
	cmd.Flags().StringVar(&request.Night, "night", "", "the night, such as 2024-03-01")
	cmd.Flags().Int32Var(&request.OlderThanDays, "older-than", 0, "all nights that are more than so many days ago")
	return cmd
}
