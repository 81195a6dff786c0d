package operator

import (
	"context"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func (a *app) destinationCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "destination",
		Short: "Add, list and retire the places where recordings go",
		Example: `  wolkvox-server destination add acme nas --kind rsync
  wolkvox-server destination list --tenant acme`,
	})
	command.AddCommand(a.destinationAddCommand(), a.destinationListCommand(), a.destinationRetireCommand())
	return command
}

func (a *app) destinationAddCommand() *cobra.Command {
	var kind string
	command := &cobra.Command{
		Use:   "add TENANT NAME",
		Short: "Add a place for a tenant's recordings and begin its ledger",
		Long: `Adds a destination and begins its ledger. Its kind says for how many days is tried again:
wolkvox (wolkvox Storage) 30, rsync (NAS or SAN) 15, azblob (Azure Blob) 10, s3 (AWS S3) 10.`,
		Example: `  wolkvox-server destination add acme nas --kind rsync`,
		Args:    exactly("TENANT", "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			parsed, err := backup.ParseStorageKind(kind)
			if err != nil {
				return usage("--kind is %q; give wolkvox, rsync, azblob or s3", kind)
			}
			request := &backupv1.CreateDestinationRequest{Tenant: args[0], Name: args[1], Kind: wire.StorageKind(parsed)}
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.CreateDestination(ctx, request)
				if err != nil {
					return err
				}
				return a.show(res.GetDestination(), func(w *tabwriter.Writer) { destinationTable(w, res.GetDestination()) })
			})
		},
	}
	command.Flags().StringVar(&kind, "kind", "", "the `KIND` of storage: wolkvox, rsync, azblob or s3 (required)")
	return command
}

func (a *app) destinationListCommand() *cobra.Command {
	var tenant string
	command := &cobra.Command{
		Use:     "list",
		Short:   "List the destinations with their ledgers and agents",
		Example: `  wolkvox-server destination list --tenant acme --output json`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ListDestinations(ctx, &backupv1.ListDestinationsRequest{Tenant: tenant})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) { destinationTable(w, res.GetDestinations()...) })
			})
		},
	}
	tenantFlag(command, &tenant)
	return command
}

func destinationTable(w *tabwriter.Writer, destinations ...*backupv1.Destination) {
	row(w, "TENANT", "DESTINATION", "KIND", "DAYS", "AGENT", "HEAD", "AGREED", "SERVER KEY", "AGENT KEY", "NOTE")
	for _, d := range destinations {
		row(w, d.GetTenant(), d.GetName(), label(d.GetKind(), "STORAGE_KIND_"), d.GetWindowDays(), d.GetAgent(),
			position(d.GetPosition()), position(d.GetAgreed()), short(d.GetServerFingerprint()), short(d.GetAgentFingerprint()), note(d))
	}
}

// note says what is not ordinary about a destination.
func note(d *backupv1.Destination) string {
	var notes []string
	if d.GetRecovering() {
		notes = append(notes, "recovering")
	}
	if d.GetRetired() {
		notes = append(notes, "retired")
	}
	if d.GetPreviousOrigin() != "" {
		notes = append(notes, "continues "+d.GetPreviousOrigin())
	}
	return strings.Join(notes, ", ")
}

// short shows the beginning of a fingerprint; JSON has all of it.
func short(fingerprint string) string { return fingerprint[:min(16, len(fingerprint))] }

func (a *app) tokenCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:     "token",
		Short:   "Make the join strings that let agents in",
		Example: `  wolkvox-server token create acme nas`,
	})
	command.AddCommand(a.tokenCreateCommand())
	return command
}

func (a *app) tokenCreateCommand() *cobra.Command {
	var lifetime time.Duration
	var address, forAgent string
	command := &cobra.Command{
		Use:   "create TENANT DESTINATION",
		Short: "Make a join string: one use, one destination, a time limit",
		Long: `Makes the join string that the client's administrator gives to wolkvox-agent enroll. It
can be used once, for this destination only, and is a secret; it is shown only here.

With --for-agent whoever enrolls takes the place of the agent that serves the destination now: for
a machine that was lost or is replaced. Each destination of that agent needs a join string of its own.`,
		Example: `  wolkvox-server token create acme nas --lifetime 48h
  wolkvox-server token create acme nas --for-agent cfcbd4e3d0dfb53f`,
		Args: exactly("TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			request := &backupv1.CreateTokenRequest{
				Tenant: args[0], Destination: args[1], Lifetime: durationpb.New(lifetime), ServerAddress: address, ForAgent: forAgent,
			}
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.CreateToken(ctx, request)
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) {
					row(w, res.GetJoin())
					row(w, "It can be used once, until "+instant(res.GetExpireTime())+".")
				})
			})
		},
	}
	command.Flags().DurationVar(&lifetime, "lifetime", 24*time.Hour, "for how long it can be used, at most 720h")
	command.Flags().StringVar(&address, "address", "", "the `HOST:PORT` that the agent shall call (default: the server's own)")
	command.Flags().StringVar(&forAgent, "for-agent", "", "the `NAME` of the agent whose place the new one takes")
	return command
}
