package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/download"
	"github.com/wolkvox/backup/internal/size"
	"github.com/wolkvox/backup/internal/wire"
)

func (a *app) storageCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "storage",
		Short: "Show what a tenant has in wolkvox Storage, and get it back",
		Long:  `Shows what a tenant has in wolkvox Storage, and gets it back. It wants the credential of a client or an auditor of that tenant.`,
		Example: `  wolkvox-server storage ls acme vault --credential ana.pem
  wolkvox-server storage get acme vault calls/2026/a.gsm --to /srv/restored --credential ana.pem`,
	})
	command.AddCommand(a.storageListCommand(), a.storageGetCommand(), a.storageUsageCommand())
	return command
}

// storagePlace calls the server about a place in wolkvox Storage.
func (a *app) storagePlace(ctx context.Context, tenant, destination string, do func(ctx context.Context, place download.Place) error) error {
	return a.connected(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		return do(ctx, download.Place{Service: backupv1.NewStorageServiceClient(conn), Tenant: tenant, Destination: destination})
	})
}

func (a *app) storageListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls TENANT DESTINATION [FOLDER]",
		Short:   "List what is stored",
		Example: `  wolkvox-server storage ls acme vault calls/2026 --credential ana.pem`,
		Args:    between(2, "TENANT", "DESTINATION", "FOLDER"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.storagePlace(c.Context(), args[0], args[1], func(ctx context.Context, place download.Place) error {
				return a.showStored(ctx, place, append(args, "")[2])
			})
		},
	}
}

// showStored shows files as they come.
func (a *app) showStored(ctx context.Context, place download.Place, folder string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	if a.output != outputJSON {
		row(w, "SIZE", "STORED", "PATH")
	}
	for file, err := range place.List(ctx, folder) {
		if err != nil {
			return err
		}
		if a.output != outputJSON {
			row(w, bytesText(file.GetSizeBytes()), instant(file.GetStoredTime()), file.GetName())
			continue
		}
		text, err := wire.CompactJSON(file)
		if err != nil {
			return err
		}
		if _, err := a.stdout.Write(append(text, '\n')); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (a *app) storageGetCommand() *cobra.Command {
	var to string
	var recursive bool
	command := &cobra.Command{
		Use:   "get TENANT DESTINATION PATH",
		Short: "Get a recording, or a folder of them, back",
		Long: `Gets a recording back. It has its name only once all of it came and has the SHA-256 that was
sealed; until then it is PATH.wolkvox-partial, and the next get goes on where that one ends. A file that
is there already is never replaced. With --recursive PATH is a folder, and all in it and below
it comes; started again, it goes on.`,
		Example: `  wolkvox-server storage get acme vault calls/2026/a.gsm --to /srv/restored --credential ana.pem
  wolkvox-server storage get acme vault calls/2026 --recursive --to /srv/restored --credential ana.pem`,
		Args: exactly("TENANT", "DESTINATION", "PATH"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.storagePlace(c.Context(), args[0], args[1], func(ctx context.Context, place download.Place) error {
				if recursive {
					return a.getFolder(ctx, place, args[2], to)
				}
				got, err := place.Get(ctx, args[2], to)
				if err != nil {
					return err
				}
				if a.output == outputJSON {
					return json.NewEncoder(a.stdout).Encode(got.Told())
				}
				_, err = fmt.Fprintln(a.stdout, got.Sentence())
				return err
			})
		},
	}
	command.Flags().StringVar(&to, "to", ".", "the `DIRECTORY` below which the file gets its path")
	command.Flags().BoolVarP(&recursive, "recursive", "r", false, "get all of a folder")
	return command
}

func (a *app) getFolder(ctx context.Context, place download.Place, folder, to string) error {
	encoder := json.NewEncoder(a.stdout)
	total, err := place.GetFolder(ctx, folder, to, func(name string, got download.Got, err error) error {
		switch {
		case a.output == outputJSON && err != nil:
			return encoder.Encode(download.Failure{Name: name, Error: err.Error()})
		case a.output == outputJSON:
			return encoder.Encode(got.Told())
		case err != nil:
			_, err = fmt.Fprintln(a.stdout, err)
			return err
		}
		_, err = fmt.Fprintln(a.stdout, got.Sentence())
		return err
	})
	if a.output != outputJSON {
		fmt.Fprintln(a.stdout, total.Sentence())
	}
	if err != nil {
		return err
	}
	return total.Err()
}

func (a *app) storageUsageCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "usage TENANT DESTINATION",
		Short:   "Show how much of the quota is used",
		Example: `  wolkvox-server storage usage acme vault --credential ana.pem`,
		Args:    exactly("TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.storagePlace(c.Context(), args[0], args[1], func(ctx context.Context, place download.Place) error {
				usage, err := place.Service.ReadUsage(ctx, &backupv1.ReadUsageRequest{Tenant: place.Tenant, Destination: place.Destination})
				if err != nil {
					return err
				}
				return a.show(usage, func(w *tabwriter.Writer) {
					row(w, "USED", "QUOTA", "FREE")
					row(w, bytesText(usage.GetUsedBytes()), quotaText(usage.GetQuotaBytes()), bytesText(usage.GetFreeBytes()))
				})
			})
		},
	}
}

func quotaText(quotaBytes int64) string {
	if quotaBytes == 0 {
		return "none"
	}
	return bytesText(quotaBytes)
}

func (a *app) tenantQuotaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "set-quota NAME SIZE",
		Short: "Set how much a tenant may keep in wolkvox Storage",
		Long: `Sets how much a tenant may keep in wolkvox Storage, over all its destinations there; 0 for no limit.
What is stored already stays, also where it is more.`,
		Example: `  wolkvox-server tenant set-quota acme 500GB`,
		Args:    exactly("NAME", "SIZE"),
		RunE: func(c *cobra.Command, args []string) error {
			quota, err := size.Parse(args[1])
			if err != nil {
				return usage("SIZE: %w", err)
			}
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.SetStorageQuota(ctx, &backupv1.SetStorageQuotaRequest{Tenant: args[0], QuotaBytes: int64(quota)})
				if err != nil {
					return err
				}
				return a.show(res.GetTenant(), func(w *tabwriter.Writer) { tenantTable(w, res.GetTenant()) })
			})
		},
	}
}
