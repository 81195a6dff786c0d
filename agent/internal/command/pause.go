package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// pauseFlags is until when and why.
type pauseFlags struct {
	until, reason string
	length        time.Duration
}

func (p *program) pause() *cobra.Command {
	var flags pauseFlags
	cmd := &cobra.Command{
		Use:   "pause [NAME]",
		Short: "Keeps nights from beginning by themselves, also after a restart",
		Long: "pause holds for one destination, or for all. A run that goes on ends soon, with nothing half done. Receipts and\n" +
			"reports go on, and so do deadlines: what is not copied by its deadline expires. `run --once` still copies.\n" +
			"A date is the start of that day by the tenant's clock. Without --until and --for it holds until `resume`.",
		Example: "  wolkvox-agent pause\n  wolkvox-agent pause nas --until 2026-12-01 --reason maintenance\n  wolkvox-agent pause nas --for 48h",
		Args:    atMostOneDestination,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd.Flags().Changed("for")); err != nil {
				return usageError{err}
			}
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.pauseNow(ctx, client, nameOf(args), flags)
			})
		},
	}
	cmd.Flags().StringVar(&flags.until, "until", "", "the first day on which copying goes on, such as 2026-12-01")
	cmd.Flags().DurationVar(&flags.length, "for", 0, "how long, such as 48h")
	cmd.Flags().StringVar(&flags.reason, "reason", "", "why, for whoever reads the status")
	return cmd
}

func (f *pauseFlags) check(long bool) error {
	if f.until != "" {
		if long {
			return errors.New("--until and --for are two ways to say the same; give one")
		}
		if _, err := backup.ParseDate(f.until); err != nil {
			return fmt.Errorf("--until is %q; give a date such as 2026-12-01", f.until)
		}
	}
	if long && f.length <= 0 {
		return fmt.Errorf("--for is %s; give a time to come, such as 48h", f.length)
	}
	return nil
}

func (p *program) pauseNow(ctx context.Context, client backupv1.AgentServiceClient, name string, flags pauseFlags) error {
	status, err := p.askStatus(ctx, client)
	if err != nil {
		return err
	}
	pause := &backupv1.Pause{Reason: flags.reason}
	if flags.until != "" {
		date, err := backup.ParseDate(flags.until)
		if err != nil {
			return usageError{err}
		}
		pause.UntilTime = timestamppb.New(date.AddDays(-1).EndIn(p.clock()))
	}
	if flags.length > 0 {
		pause.UntilTime = timestamppb.New(serverTime(status, time.Now()).Add(flags.length).Truncate(time.Second))
	}
	response, err := client.PauseDestination(ctx, &backupv1.PauseDestinationRequest{Destination: name, Pause: pause})
	if err != nil {
		return err
	}
	if p.output == outputJSON {
		return p.writeMessage(response)
	}
	paused := make(map[string]bool)
	for _, name := range response.GetDestinations() {
		paused[name] = true
		fmt.Fprintf(p.stdout, "%s is %s. `wolkvox-agent resume %s` ends that.\n", name, p.pauseText(pause), name)
	}
	if flags.until != "" && p.zone == nil {
		fmt.Fprintf(p.stdout, "That is the start of %s by this machine's clock: the tenant's is not known yet.\n", flags.until)
	}
	for _, d := range status.GetDestinations() {
		if warning := p.pauseWarning(d, pause); paused[d.GetName()] && warning != "" {
			fmt.Fprintf(p.stdout, "! %s: %s\n", d.GetName(), warning)
		}
	}
	return nil
}

func (p *program) resume() *cobra.Command {
	return &cobra.Command{
		Use:     "resume [NAME]",
		Short:   "Ends a pause",
		Long:    "resume ends the pause of one destination, or of all. What is pending is copied in the next nightly window, or by\n`run --once`.",
		Example: "  wolkvox-agent resume\n  wolkvox-agent resume nas",
		Args:    atMostOneDestination,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				response, err := client.ResumeDestination(ctx, &backupv1.ResumeDestinationRequest{Destination: nameOf(args)})
				if err != nil {
					return err
				}
				if p.output == outputJSON {
					return p.writeMessage(response)
				}
				for _, name := range response.GetDestinations() {
					fmt.Fprintf(p.stdout, "%s goes on.\n", name)
				}
				if len(response.GetDestinations()) == 0 {
					fmt.Fprintln(p.stdout, "Nothing was paused.")
				}
				return nil
			})
		},
	}
}

func atMostOneDestination(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("%s takes one name, as in the configuration, or none for all", cmd.CommandPath())}
	}
	return nil
}

// nameOf returns the destination that is named, empty for all.
func nameOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// sayPaused says that a run which a person asks for is made although its destination is paused.
func (p *program) sayPaused(ctx context.Context, client backupv1.AgentServiceClient, destination string) error {
	if p.output == outputJSON {
		return nil
	}
	status, err := p.askStatus(ctx, client)
	if err != nil {
		return err
	}
	for _, d := range status.GetDestinations() {
		if d.GetPause() != nil && (destination == "" || destination == d.GetName()) {
			fmt.Fprintf(p.stdout, "%s is %s; this run copies all the same.\n", d.GetName(), p.pauseText(d.GetPause()))
		}
	}
	return nil
}

// askStatus asks for the status, and takes down by whose clock times are shown.
func (p *program) askStatus(ctx context.Context, client backupv1.AgentServiceClient) (*backupv1.GetStatusResponse, error) {
	var header metadata.MD
	status, err := client.GetStatus(ctx, &backupv1.GetStatusRequest{}, grpc.Header(&header))
	if err != nil {
		return nil, err
	}
	if names := header.Get(wire.TimeZoneHeader); len(names) == 1 {
		if p.zone, err = time.LoadLocation(names[0]); err != nil {
			return nil, fmt.Errorf("the tenant's time zone: %w", err)
		}
	}
	return status, nil
}

// clock returns the tenant's zone, or this machine's where that is not known.
func (p *program) clock() *time.Location {
	if p.zone != nil {
		return p.zone
	}
	return time.Local
}

// moment shows a time as a person's clock does.
func (p *program) moment(t *timestamppb.Timestamp) string {
	if p.zone != nil {
		return t.AsTime().In(p.zone).Format("2006-01-02 15:04") + " (" + p.zone.String() + ")"
	}
	return t.AsTime().Local().Format("2006-01-02 15:04 -0700")
}

func (p *program) pauseText(pause *backupv1.Pause) string {
	text := "paused until it is resumed"
	if pause.GetUntilTime() != nil {
		text = "paused until " + p.moment(pause.GetUntilTime())
	}
	if pause.GetReason() != "" {
		text += fmt.Sprintf(" (%s)", pause.GetReason())
	}
	return text
}

// pauseWarning says what expires while the destination is paused, empty where nothing does.
func (p *program) pauseWarning(d *backupv1.DestinationStatus, pause *backupv1.Pause) string {
	first, recordings := expiringIn(d, pause)
	if first == nil {
		return ""
	}
	return fmt.Sprintf("deadlines go on, and %d pending recordings expire in the pause, the first of them on %s", recordings, p.moment(first))
}

// expiringIn returns the first deadline that falls into a pause, nil where none does, and how many pending recordings
// have one that does.
func expiringIn(d *backupv1.DestinationStatus, pause *backupv1.Pause) (first *timestamppb.Timestamp, recordings int64) {
	for _, n := range d.GetNights() {
		deadline, pending := n.GetDeadlineTime(), n.GetCounts().GetPendingCount()
		if !n.GetOpen() || pending == 0 || deadline == nil {
			continue
		}
		if until := pause.GetUntilTime(); until != nil && deadline.AsTime().After(until.AsTime()) {
			continue
		}
		recordings += pending
		if first == nil || deadline.AsTime().Before(first.AsTime()) {
			first = deadline
		}
	}
	return first, recordings
}

// expiresPaused reports whether something expires in the pause that holds.
func expiresPaused(d *backupv1.DestinationStatus) bool {
	if d.GetPause() == nil {
		return false
	}
	first, _ := expiringIn(d, d.GetPause())
	return first != nil
}

// writePause shows the pause that holds.
func (p *program) writePause(d *backupv1.DestinationStatus) {
	if d.GetPause() == nil {
		return
	}
	fmt.Fprintln(p.stdout, p.pauseText(d.GetPause()))
	if warning := p.pauseWarning(d, d.GetPause()); warning != "" {
		fmt.Fprintf(p.stdout, "! %s\n", warning)
	}
}
