package operator

import (
	"context"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (a *app) sourceCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "source",
		Short: "Add and list the directories where recordings lie",
		Example: `  wolkvox-server source add acme calls --directory /srv/recordings/acme
  wolkvox-server source list --tenant acme`,
	})
	command.AddCommand(a.sourceAddCommand(), a.sourceListCommand())
	return command
}

func (a *app) sourceAddCommand() *cobra.Command {
	var directory, proof string
	command := &cobra.Command{
		Use:   "add TENANT NAME",
		Short: "Add a directory tree on the server where a tenant's recordings lie",
		Long: `Adds a directory tree on the server's machine. The server writes a marker into it, by
which it knows from then on that the tree is mounted and not just an empty folder. For a
tree that cannot be written to, name a file in it that will stay as it is.`,
		Example: `  wolkvox-server source add acme calls --directory /srv/recordings/acme
  wolkvox-server source add acme archive --directory /mnt/archive --proof-file volume.id`,
		Args: exactly("TENANT", "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if directory == "" {
				return usage("--directory is missing: name the directory on the server's machine")
			}
			request := &backupv1.AddSourceRequest{Source: &backupv1.Source{
				Tenant: args[0], Name: args[1], Directory: filepath.Clean(directory), ProofFile: proof,
			}}
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.AddSource(ctx, request)
				if err != nil {
					return err
				}
				return a.show(res.GetSource(), func(w *tabwriter.Writer) { sourceTable(w, res.GetSource()) })
			})
		},
	}
	command.Flags().StringVar(&directory, "directory", "", "the absolute path of the `DIR` on the server's machine (required)")
	command.Flags().StringVar(&proof, "proof-file", "", "a `FILE` below the directory that proves that it is mounted, instead of a marker")
	return command
}

func (a *app) sourceListCommand() *cobra.Command {
	var tenant string
	command := &cobra.Command{
		Use:     "list",
		Short:   "List the sources and whether each can be reached now",
		Example: `  wolkvox-server source list --tenant acme`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ListSources(ctx, &backupv1.ListSourcesRequest{Tenant: tenant})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) { sourceTable(w, res.GetSources()...) })
			})
		},
	}
	tenantFlag(command, &tenant)
	return command
}

// tenantFlag adds --tenant to a command that lists.
func tenantFlag(command *cobra.Command, tenant *string) {
	command.Flags().StringVar(tenant, "tenant", "", "only those of this `TENANT`")
}

func sourceTable(w *tabwriter.Writer, sources ...*backupv1.Source) {
	row(w, "TENANT", "SOURCE", "DIRECTORY", "KNOWN BY", "STATE")
	for _, s := range sources {
		by, state := "marker", "reachable"
		if s.GetProofFile() != "" {
			by = s.GetProofFile()
		}
		if s.GetProblem() != "" {
			state = s.GetProblem()
		}
		row(w, s.GetTenant(), s.GetName(), s.GetDirectory(), by, state)
	}
}
