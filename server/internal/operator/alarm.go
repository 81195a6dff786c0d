package operator

import (
	"context"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (a *app) alarmsCommand() *cobra.Command {
	var tenant string
	command := &cobra.Command{
		Use:   "alarms",
		Short: "List what people have to decide or look at",
		Long: `Lists the alarms that stand, oldest first. FORK and TAIL_LOST stop a destination until
` + "`ledger restart`" + `; CLONED and COUNTS are cleared once they were looked into.`,
		Example: `  wolkvox-server alarms --tenant acme
  wolkvox-server alarms clear acme nas CLONED --reason "the copy of the machine was removed"`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%s has no command %q", c.CommandPath(), args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ListAlarms(ctx, &backupv1.ListAlarmsRequest{Tenant: tenant})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) { alarmTable(w, res.GetAlarms()) })
			})
		},
	}
	tenantFlag(command, &tenant)
	command.AddCommand(a.alarmsClearCommand())
	return command
}

func alarmTable(w *tabwriter.Writer, alarms []*backupv1.Alarm) {
	row(w, "TENANT", "DESTINATION", "ALARM", "SINCE", "MESSAGE")
	for _, alarm := range alarms {
		row(w, alarm.GetTenant(), alarm.GetDestination(), alarmKind(alarm.GetKind()), instant(alarm.GetRaiseTime()), alarm.GetMessage())
	}
}

// alarmKind shows a kind as it is written everywhere else, such as TAIL_LOST.
func alarmKind(kind backupv1.AlarmKind) string {
	return strings.TrimPrefix(kind.String(), "ALARM_KIND_")
}

func (a *app) alarmsClearCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clear TENANT DESTINATION KIND",
		Short: "Take down that an alarm was dealt with",
		Long: `Takes down that an alarm, CLONED or COUNTS, was dealt with, and why it needs nothing
more. FORK and TAIL_LOST want a new log instead: ` + "`ledger restart`" + `.`,
		Example: `  wolkvox-server alarms clear acme nas CLONED --reason "the copy of the machine was removed"`,
		Args:    exactly("TENANT", "DESTINATION", "KIND"),
		RunE: func(c *cobra.Command, args []string) error {
			kind := backupv1.AlarmKind(backupv1.AlarmKind_value["ALARM_KIND_"+strings.ReplaceAll(strings.ToUpper(args[2]), "-", "_")])
			if kind == backupv1.AlarmKind_ALARM_KIND_UNSPECIFIED {
				return usage("%q is no alarm; give CLONED, COUNTS, FORK or TAIL_LOST", args[2])
			}
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ClearAlarm(ctx, &backupv1.ClearAlarmRequest{Tenant: args[0], Destination: args[1], Kind: kind})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) {
					row(w, "The alarm "+alarmKind(kind)+" of "+args[0]+"/"+args[1]+" does not stand any more.")
				})
			})
		},
	}
}

func (a *app) ledgerRestartCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restart TENANT DESTINATION",
		Short: "End the ledger of a destination that cannot go on, and begin a new one",
		Long: `Ends a ledger whose tail nobody can supply (TAIL_LOST), of which two histories are held
(FORK), or which recovers and whose agent will never come back, and begins a new one whose
first entry names the last known head. The agent is enrolled anew with a new join string;
what lies at the destination is found by its hash and not copied again. The old ledger can
still be verified and exported, by its origin in place of DESTINATION.`,
		Example: `  wolkvox-server ledger restart acme nas --reason "ticket 4711: both copies of the end are lost"
  wolkvox-server token create acme nas`,
		Args: exactly("TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.RestartLog(ctx, &backupv1.RestartLogRequest{Tenant: args[0], Destination: args[1]})
				if err != nil {
					return err
				}
				d := res.GetDestination()
				return a.show(d, func(w *tabwriter.Writer) {
					row(w, "new ledger", d.GetOrigin())
					row(w, "continues", d.GetPreviousOrigin())
					row(w, "server key", d.GetServerFingerprint())
					row(w, "next", "wolkvox-server token create "+args[0]+" "+args[1])
				})
			})
		},
	}
}
