package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (p *program) destination() *cobra.Command {
	parent := group(&cobra.Command{
		Use: "destination", Short: "Prepares the places where recordings go", Example: "  wolkvox-agent destination init nas",
	})
	parent.AddCommand(&cobra.Command{
		Use:   "init NAME",
		Short: "Marks a configured destination as the place for its recordings",
		Long: "init tries what safe copying needs (writing durably, renaming without replacing), and writes a marker below\n" +
			".wolkvox. Without its marker a destination is never written to: an empty mount point is not your NAS.\n" +
			"Init again changes nothing. It never makes the directory itself.",
		Example: "  wolkvox-agent destination init nas",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("destination init takes one name, as in the configuration")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				response, err := client.InitDestination(ctx, &backupv1.InitDestinationRequest{Destination: args[0]})
				if err != nil {
					return err
				}
				if p.output == outputJSON {
					return p.writeMessage(response)
				}
				word := "is now"
				if response.GetAlreadyInitialized() {
					word = "was already"
				}
				_, err = fmt.Fprintf(p.stdout, "%s %s destination %s (marker %s).\n", response.GetLocation(), word, args[0], response.GetMarkerId())
				return err
			})
		},
	})
	return parent
}
