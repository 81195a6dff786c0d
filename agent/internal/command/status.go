package command

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (p *program) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Says what is confirmed, pending and expired, and what is wrong",
		Long: "status shows each night that is open or holds expired recordings, and the latest one. It exits with 0 if all\n" +
			"is well, and with 1 if the agent, the server or a destination has a problem, something expired, met a fault,\n" +
			"expires in a pause or if nights go on as the last ones did, the last check found something bad, or the\n" +
			"last audit did not settle.",
		Example: "  wolkvox-agent status\n  wolkvox-agent status --output json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				status, err := p.askStatus(ctx, client)
				if err != nil {
					return err
				}
				if p.output == outputJSON {
					err = p.writeMessage(status)
				} else {
					err = p.writeStatus(status, serverTime(status, time.Now()))
				}
				if err != nil {
					return err
				}
				if !isWell(status) {
					return errBad
				}
				return nil
			})
		},
	}
}

// serverTime returns the server's time, as far as this machine's clock and its offset tell.
func serverTime(status *backupv1.GetStatusResponse, local time.Time) time.Time {
	return local.Add(-status.GetClockOffset().AsDuration())
}

// isWell reports whether a person has nothing to do.
func isWell(status *backupv1.GetStatusResponse) bool {
	well := status.GetServerProblem() == "" && len(status.GetProblems()) == 0
	for _, d := range status.GetDestinations() {
		well = well && d.GetProblem() == "" && d.GetLastFault() == nil && d.GetCounts().GetExpiredCount() == 0 && !expiresPaused(d) &&
			len(d.GetForecast().GetExpiring()) == 0 &&
			d.GetCheck().GetVerdict() != backupv1.CheckVerdict_CHECK_VERDICT_BAD &&
			(d.GetAudit() == nil || auditIsSettled(d.GetAudit()))
	}
	return well
}

func (p *program) writeStatus(status *backupv1.GetStatusResponse, now time.Time) error {
	fmt.Fprintf(p.stdout, "agent %s, version %s, server %s\n", status.GetAgent(), status.GetVersion(), status.GetServerAddress())
	if problem := status.GetServerProblem(); problem != "" {
		fmt.Fprintf(p.stdout, "! server: %s\n", problem)
	}
	for _, problem := range status.GetProblems() {
		fmt.Fprintf(p.stdout, "! %s\n", problem)
	}
	for _, d := range status.GetDestinations() {
		if err := p.writeDestination(d, now); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) writeDestination(d *backupv1.DestinationStatus, now time.Time) error {
	fmt.Fprintf(p.stdout, "\n%s: %s\n", d.GetName(), d.GetLocation())
	if problem := d.GetProblem(); problem != "" {
		fmt.Fprintf(p.stdout, "! %s\n", problem)
	}
	p.writePause(d)
	if f := d.GetLastFault(); f != nil && f.GetMessage() != d.GetProblem() {
		fmt.Fprintf(p.stdout, "! last fault (%s, %s, %s): %s\n", f.GetClass(), f.GetParty(), f.GetCode(), f.GetMessage())
	}
	if c := d.GetCircuit(); c != nil {
		fmt.Fprintf(p.stdout, "! left alone since %s because of %s (%s), next try at %s; `wolkvox-agent run --once` tries at once\n",
			clock(c.GetSinceTime()), c.GetFault().GetClass(), c.GetFault().GetCode(), clock(c.GetNextTryTime()))
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "night\tmanifest\trecordings\tconfirmed\tpending\texpired\tother\tleft")
	for _, n := range d.GetNights() {
		c := n.GetCounts()
		left := "closed"
		if n.GetOpen() {
			left = daysLeft(n.GetDeadlineTime(), now)
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", n.GetNight(), n.GetManifest(), n.GetItemCount(),
			c.GetConfirmedCount(), c.GetPendingCount(), c.GetExpiredCount(), otherCount(c), left)
	}
	c := d.GetCounts()
	fmt.Fprintf(table, "all nights\t\t%d\t%d\t%d\t%d\t%d\t\n", c.GetConfirmedCount()+c.GetPendingCount()+c.GetExpiredCount()+otherCount(c),
		c.GetConfirmedCount(), c.GetPendingCount(), c.GetExpiredCount(), otherCount(c))
	if err := table.Flush(); err != nil {
		return err
	}
	writeInteractions(p.stdout, d.GetNights())
	if d.FreeBytes != nil {
		fmt.Fprintf(p.stdout, "space left: %s\n", bytesText(d.GetFreeBytes()))
	}
	writeForecast(p.stdout, d.GetForecast(), now)
	if n := d.GetOutboxCount(); n > 0 {
		fmt.Fprintf(p.stdout, "receipts that wait for the server: %d\n", n)
	}
	p.writeEvidence(d.GetEvidence())
	p.writeLastCheck(d.GetCheck())
	p.writeLastAudit(d.GetAudit())
	_, err := fmt.Fprintf(p.stdout, "ledger: %s\nagreed: %s\n", headText(d.GetPosition()), headText(d.GetAgreed()))
	return err
}

// otherCount is what is neither confirmed, pending nor expired.
func otherCount(c *backupv1.StateCounts) int64 {
	return c.GetWaivedCount() + c.GetReleasedCount() + c.GetWithdrawnCount() + c.GetForgottenCount()
}
