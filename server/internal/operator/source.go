package operator

import (
	"context"
	"text/tabwriter"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (a *app) sourceCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "source",
		Short: "Add and list the places where recordings lie",
		Example: `  wolkvox-server source add acme calls --directory /srv/recordings/acme
  wolkvox-server source list --tenant acme`,
	})
	command.AddCommand(a.sourceAddCommand(), a.sourceListCommand())
	return command
}

func (a *app) sourceAddCommand() *cobra.Command {
	var place sourcePlace
	command := &cobra.Command{
		Use:   "add TENANT NAME",
		Short: "Add a place where a tenant's recordings lie: a directory, SFTP or S3",
		Long: `Adds a directory tree on the server's machine (--directory), a folder on a server that
speaks SFTP (--sftp), or a bucket of S3 or of a compatible store (--s3). The server writes
a marker there, by which it knows from then on that it is the right place and not just an
empty folder. For a place that cannot be written to, name a file in it that will stay as it
is.

Secrets are never given here: name a file on the server's machine that holds them, and that
only the user that the server runs as can read.`,
		Example: `  wolkvox-server source add acme calls --directory /srv/recordings/acme
  wolkvox-server source add acme archive --directory /mnt/archive --proof-file volume.id
  wolkvox-server source add acme pbx --sftp backup@pbx.example:22/var/spool/recordings \
      --host-key SHA256:Nhz… --key-file /etc/wolkvox/pbx.key --proof-file volume.id
  wolkvox-server source add acme cloud --s3 acme-recordings/calls --region us-east-1 \
      --credentials-file /etc/wolkvox/acme.credentials`,
		Args: exactly("TENANT", "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			added, err := place.source()
			if err != nil {
				return err
			}
			added.Tenant, added.Name = args[0], args[1]
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.AddSource(ctx, &backupv1.AddSourceRequest{Source: added})
				if err != nil {
					return err
				}
				return a.show(res.GetSource(), func(w *tabwriter.Writer) { sourceTable(w, res.GetSource()) })
			})
		},
	}
	place.flags(command)
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
	row(w, "TENANT", "SOURCE", "KIND", "PLACE", "KNOWN BY", "STATE")
	for _, s := range sources {
		by, state := "marker", "reachable"
		if s.GetProofFile() != "" {
			by = s.GetProofFile()
		}
		if s.GetProblem() != "" {
			state = s.GetProblem()
		}
		kind, place := sourceAt(s)
		row(w, s.GetTenant(), s.GetName(), kind, place, by, state)
	}
}
