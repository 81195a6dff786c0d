package command

import (
	"context"
	"fmt"
	"time"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// planRun shows what a run would fetch, and fetches nothing.
func (p *program) planRun(ctx context.Context, client backupv1.AgentServiceClient, destination string) error {
	status, err := p.askStatus(ctx, client)
	if err != nil {
		return err
	}
	response, err := client.PlanRun(ctx, &backupv1.PlanRunRequest{Destination: destination})
	if err != nil {
		return err
	}
	if p.output == outputJSON {
		return p.writeMessage(response)
	}
	for _, plan := range response.GetPlans() {
		if err := p.writePlan(plan, serverTime(status, time.Now())); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) writePlan(plan *backupv1.RunPlan, now time.Time) error {
	measured, limit, takes := "unknown, none was measured yet", "none", "unknown"
	if plan.MeasuredBytesPerSecond != nil {
		measured = bytesText(plan.GetMeasuredBytesPerSecond()) + "/s"
	}
	if plan.LimitBytesPerSecond != nil {
		limit = bytesText(plan.GetLimitBytesPerSecond()) + "/s"
	}
	switch {
	case plan.GetEstimatedDuration() == nil:
	case plan.MeasuredBytesPerSecond == nil:
		takes = "at least " + durationText(plan.GetEstimatedDuration().AsDuration())
	default:
		takes = "about " + durationText(plan.GetEstimatedDuration().AsDuration())
	}
	fmt.Fprintf(p.stdout, "%s: %d recordings to copy, %s\n", plan.GetDestination(), plan.GetItemCount(), bytesText(plan.GetBytes()))
	fmt.Fprintf(p.stdout, "  measured rate: %s\n  limit now: %s\n", measured, limit)
	if plan.GetItemCount() > 0 {
		fmt.Fprintf(p.stdout, "  it takes: %s\n  first deadline: %s, %s left\n", takes, p.moment(plan.GetFirstDeadlineTime()), daysLeft(plan.GetFirstDeadlineTime(), now))
	}
	if plan.GetHindrance() != "" {
		fmt.Fprintf(p.stdout, "  not by itself now: %s\n", plan.GetHindrance())
	}
	return nil
}

// durationText is a time for people, to two places.
func durationText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int64(d.Round(time.Second)/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int64(d.Round(time.Minute)/time.Minute))
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%d h %d min", int64(d/time.Hour), int64(d%time.Hour/time.Minute))
	}
	return fmt.Sprintf("%d days", int64(d.Round(24*time.Hour)/(24*time.Hour)))
}
