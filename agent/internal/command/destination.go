package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (p *program) destination() *cobra.Command {
	parent := group(&cobra.Command{
		Use: "destination", Short: "Prepares the places where recordings go", Example: "  wolkvox-agent destination init nas\n  wolkvox-agent destination accept-losses nas\n  wolkvox-agent destination move nas",
	})
	parent.AddCommand(&cobra.Command{
		Use:   "init NAME",
		Short: "Marks a configured destination as the place for its recordings",
		Long: "init tries what safe copying needs (writing durably, renaming without replacing), and writes a marker below\n" +
			".wolkvox. Without its marker a destination is never written to: an empty mount point is not your NAS.\n" +
			"Init again changes nothing. It never makes the directory itself.",
		Example: "  wolkvox-agent destination init nas",
		Args:    oneDestination,
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
	}, p.acceptLosses(), p.move())
	return parent
}

func oneDestination(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("destination %s takes one name, as in the configuration", cmd.Name())}
	}
	return nil
}

func (p *program) acceptLosses() *cobra.Command {
	return &cobra.Command{
		Use:   "accept-losses NAME",
		Short: "Lets the agent sign that recordings are lost at a destination",
		Long: "Where an audit finds more than 1 % of what is confirmed missing or altered, it signs nothing: it may be the wrong\n" +
			"place. The next pass signs if it finds the same, or if accept-losses says that it is right. What is signed as lost\n" +
			"is copied again while wolkvox still tries, and is expired afterwards.",
		Example: "  wolkvox-agent destination accept-losses nas",
		Args:    oneDestination,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				response, err := client.AcceptLosses(ctx, &backupv1.AcceptLossesRequest{Destination: args[0]})
				if err != nil {
					return err
				}
				if p.output == outputJSON {
					return p.writeMessage(response)
				}
				_, err = fmt.Fprintf(p.stdout, "The last audit of %s found %d of %d confirmed recordings missing or altered. The next pass signs that they are lost.\n",
					args[0], response.GetLostCount(), response.GetAuditedCount())
				return err
			})
		},
	}
}
