package operator

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func (a *app) unrecordedCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unrecorded TENANT DESTINATION NIGHT",
		Short: "List the interactions of a night that have no recording, and why",
		Long: `Lists the interactions that a recording platform announced for a night and that have
no recording at a destination: the reason that the ledger counts, and the manifest that
counts it, or "waiting" for what may still come. With --output json every interaction is
an object on a line of its own. It is known for as long as announcements are kept.`,
		Example: `  wolkvox-server unrecorded acme nas 2026-11-22
  wolkvox-server unrecorded acme nas 2026-11-22 --output json | jq -r 'select(.reason == "missing").interaction'`,
		Args: exactly("TENANT", "DESTINATION", "NIGHT"),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := backup.ParseDate(args[2]); err != nil {
				return usage("NIGHT is %q; give a date such as 2026-11-22", args[2])
			}
			request := &backupv1.ListUnrecordedRequest{Tenant: args[0], Destination: args[1], Night: args[2]}
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				return a.showUnrecorded(ctx, admin, request)
			})
		},
	}
}

func (a *app) showUnrecorded(ctx context.Context, admin backupv1.AdminServiceClient, request *backupv1.ListUnrecordedRequest) error {
	stream, err := admin.ListUnrecorded(ctx, request)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	if a.output != outputJSON {
		row(w, "INTERACTION", "REASON", "MANIFEST", "TIME", "ANNOUNCED AT")
	}
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err != nil {
			return err
		}
		for _, one := range part.GetInteractions() {
			if a.output != outputJSON {
				row(w, one.GetInteraction(), one.GetReason(), manifestText(one.GetManifest()), instant(one.GetRecordedTime()), strings.Join(one.GetSourcePaths(), ", "))
				continue
			}
			text, err := wire.CompactJSON(one)
			if err != nil {
				return err
			}
			if _, err := a.stdout.Write(append(text, '\n')); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

// manifestText is the number of a manifest, "-" where there is none yet.
func manifestText(number int64) string {
	if number == 0 {
		return "-"
	}
	return strconv.FormatInt(number, 10)
}
