package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func (a *app) expiringCommand() *cobra.Command {
	var tenant string
	within := 72 * time.Hour
	command := &cobra.Command{
		Use:   "expiring",
		Short: "List who has recordings that expire soon, and why",
		Long: `Lists, of one tenant or of all, the nights whose deadline is near and of which something is
pending: how much, how many recordings will expire if nights go on as the last seven did,
the last fault, and when the agent was last heard. WILL EXPIRE is "unknown" where no night
was measured yet. With --output json every destination is an object on a line of its own.`,
		Example: `  wolkvox-server expiring
  wolkvox-server expiring --tenant acme --within 240h --output json`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if within <= 0 {
				return usage("--within is %v; give a length of time such as 72h", within)
			}
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				return a.showExpiring(ctx, admin, &backupv1.ListExpiringRequest{Tenant: tenant, Within: durationpb.New(within)})
			})
		},
	}
	tenantFlag(command, &tenant)
	command.Flags().DurationVar(&within, "within", within, "how near the deadlines are")
	return command
}

func (a *app) showExpiring(ctx context.Context, admin backupv1.AdminServiceClient, request *backupv1.ListExpiringRequest) error {
	stream, err := admin.ListExpiring(ctx, request)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for found := 0; ; found++ {
		part, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			if found == 0 && a.output != outputJSON {
				row(w, "Nothing that is pending has its deadline within "+request.GetWithin().AsDuration().String()+".")
			}
			return w.Flush()
		case err != nil:
			return errors.Join(w.Flush(), err)
		case a.output == outputJSON:
			text, err := wire.CompactJSON(part.GetDestination())
			if err != nil {
				return err
			}
			if _, err := a.stdout.Write(append(text, '\n')); err != nil {
				return err
			}
			continue
		case found == 0:
			row(w, "TENANT", "DESTINATION", "NIGHT", "MANIFEST", "DEADLINE", "PENDING", "SIZE", "WILL EXPIRE", "PER NIGHT", "AGENT HEARD", "WHY")
		}
		expiringRows(w, part.GetDestination())
	}
}

func expiringRows(w *tabwriter.Writer, d *backupv1.ExpiringDestination) {
	heard := instant(d.GetHeardTime())
	switch {
	case d.GetAgent() == "":
		heard = "no agent"
	case heard == "":
		heard = "never"
	}
	nights := d.GetRate().GetNightCount()
	perNight := "unknown"
	if nights > 0 {
		perNight = fmt.Sprintf("%d, %s", d.GetRate().GetConfirmedCount()/nights, bytesText(d.GetRate().GetConfirmedBytes()/nights))
	}
	for _, m := range d.GetManifests() {
		expiring := "unknown"
		if nights > 0 {
			expiring = fmt.Sprint(m.GetExpiringCount())
		}
		row(w, d.GetTenant(), d.GetDestination(), m.GetNight(), m.GetManifest(), instant(m.GetDeadlineTime()), m.GetPendingCount(),
			bytesText(m.GetPendingBytes()), expiring, perNight, heard, faultText(m.GetLastFault()))
	}
}
