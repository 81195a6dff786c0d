package operator

import (
	"context"
	"text/tabwriter"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (a *app) ledgerRekeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rekey TENANT DESTINATION",
		Short: "Give a ledger another key of the server's",
		Long: `Gives a ledger another key of the server's, signed by the one before. The first call makes
the key and stops (NO_BACKUP); once a backup of the server has it, the same command takes
it. Agents follow by themselves.`,
		Example: `  wolkvox-server ledger rekey acme nas`,
		Args:    exactly("TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			request := &backupv1.RekeyLogRequest{Tenant: args[0], Destination: args[1]}
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.RekeyLog(ctx, request)
				if err != nil {
					return err
				}
				d := res.GetDestination()
				return a.show(d, func(w *tabwriter.Writer) {
					row(w, "ledger", d.GetOrigin())
					row(w, "first key", d.GetServerFingerprint())
					row(w, "key now", d.GetCurrentServerFingerprint())
				})
			})
		},
	}
}

func (a *app) destinationRetireCommand() *cobra.Command {
	var moved bool
	command := &cobra.Command{
		Use:   "retire TENANT NAME",
		Short: "End a destination for good",
		Long: `Ends a destination for good: nothing is sealed or closed for it any more, and nothing copied
to it. What is there stays there, and its ledger can still be read, exported and proved. Let the
agent agree on the last head (HEAD and AGREED are equal) before its machine is taken away.`,
		Example: `  wolkvox-server destination retire acme nas --moved`,
		Args:    exactly("TENANT", "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			request := &backupv1.RetireDestinationRequest{Tenant: args[0], Destination: args[1], Moved: moved}
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.RetireDestination(ctx, request)
				if err != nil {
					return err
				}
				return a.show(res.GetDestination(), func(w *tabwriter.Writer) { destinationTable(w, res.GetDestination()) })
			})
		},
	}
	command.Flags().BoolVar(&moved, "moved", false, "the recordings go elsewhere from now on, and not nowhere")
	return command
}

func (a *app) tenantRetireCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "retire NAME",
		Short: "End a tenant for good",
		Long: `Ends all destinations of a tenant, revokes its agents and credentials at once, and seals
nothing for it any more. Its agents cannot agree on anything afterwards: end the
destinations one by one before, and wait until the last heads are agreed.`,
		Example: `  wolkvox-server tenant retire acme`,
		Args:    exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.RetireTenant(ctx, &backupv1.RetireTenantRequest{Tenant: args[0]})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) {
					for _, d := range res.GetDestinations() {
						row(w, "destination ended", d)
					}
					for _, r := range res.GetRevoked() {
						row(w, "revoked", r)
					}
				})
			})
		},
	}
}
