package operator

import (
	"context"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/size"
)

func (a *app) tenantCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "tenant",
		Short: "Add, list and retire the clients of wolkvox",
		Example: `  wolkvox-server tenant add acme --time-zone America/Bogota --window 22:00-06:00
  wolkvox-server tenant list`,
	})
	command.AddCommand(a.tenantAddCommand(), a.tenantListCommand(), a.tenantRetireCommand(), a.tenantQuotaCommand())
	return command
}

func (a *app) tenantAddCommand() *cobra.Command {
	var zone, window, cutOff, rate, quota string
	var quiet time.Duration
	command := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a tenant with its nightly schedule",
		Example: `  wolkvox-server tenant add acme --time-zone America/Bogota
  wolkvox-server tenant add acme --time-zone Europe/Madrid --window 01:00-05:30 --cut-off 00:15 --bytes-per-second 20MB`,
		Args: exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if zone == "" {
				return usage("--time-zone is missing: name one such as America/Bogota")
			}
			start, end, err := parseWindow(window)
			if err != nil {
				return err
			}
			after, err := parseTimeOfDay("--cut-off", cutOff)
			if err != nil {
				return err
			}
			bytesPerSecond, err := size.Parse(rate)
			if err != nil {
				return usage("--bytes-per-second: %w", err)
			}
			quotaBytes, err := size.Parse(quota)
			if err != nil {
				return usage("--storage-quota: %w", err)
			}
			request := &backupv1.CreateTenantRequest{Tenant: &backupv1.Tenant{
				Name: args[0],
				Window: &backupv1.NightWindow{
					TimeZone: zone, Start: durationpb.New(start), End: durationpb.New(end), BytesPerSecond: int64(bytesPerSecond),
				},
				CutOff: durationpb.New(after), Quiet: durationpb.New(quiet), StorageQuotaBytes: int64(quotaBytes),
			}}
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.CreateTenant(ctx, request)
				if err != nil {
					return err
				}
				return a.show(res.GetTenant(), func(w *tabwriter.Writer) { tenantTable(w, res.GetTenant()) })
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&zone, "time-zone", "", "the tenant's `ZONE`, an IANA name (required)")
	flags.StringVar(&window, "window", "22:00-06:00", "when recordings are copied, `START-END` by the tenant's clock; an END at or before START is on the following day")
	flags.StringVar(&cutOff, "cut-off", "00:30", "when the night before is sealed, a `TIME` by the tenant's clock")
	flags.DurationVar(&quiet, "quiet", 10*time.Minute, "how long a file has to be unchanged before it is sealed")
	flags.StringVar(&quota, "storage-quota", "0", "how much may be kept in wolkvox Storage, a `SIZE` such as 500GB; 0 for no limit")
	flags.StringVar(&rate, "bytes-per-second", "0", "the most that is copied per second, a `SIZE` such as 20MB; 0 for no limit")
	return command
}

func (a *app) tenantListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the tenants",
		Example: `  wolkvox-server tenant list`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ListTenants(ctx, &backupv1.ListTenantsRequest{})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) { tenantTable(w, res.GetTenants()...) })
			})
		},
	}
}

func tenantTable(w *tabwriter.Writer, tenants ...*backupv1.Tenant) {
	row(w, "TENANT", "TIME ZONE", "WINDOW", "CUT-OFF", "QUIET", "LIMIT", "STORAGE")
	for _, t := range tenants {
		limit := "none"
		if rate := t.GetWindow().GetBytesPerSecond(); rate > 0 {
			limit = bytesText(rate) + "/s"
		}
		row(w, t.GetName(), t.GetWindow().GetTimeZone(),
			timeOfDay(t.GetWindow().GetStart().AsDuration())+"-"+timeOfDay(t.GetWindow().GetEnd().AsDuration()),
			timeOfDay(t.GetCutOff().AsDuration()), t.GetQuiet().AsDuration(), limit, quotaText(t.GetStorageQuotaBytes()))
	}
}

// parseWindow reads two times of day, "22:00-06:00".
func parseWindow(text string) (start, end time.Duration, err error) {
	from, until, ok := strings.Cut(text, "-")
	if !ok {
		return 0, 0, usage("--window %q is no window; write it like 22:00-06:00", text)
	}
	if start, err = parseTimeOfDay("--window", from); err != nil {
		return 0, 0, err
	}
	end, err = parseTimeOfDay("--window", until)
	return start, end, err
}

func parseTimeOfDay(flag, text string) (time.Duration, error) {
	t, err := time.Parse("15:04", strings.TrimSpace(text))
	if err != nil {
		return 0, usage("%s: %q is no time of day; write it like 22:30", flag, text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}
