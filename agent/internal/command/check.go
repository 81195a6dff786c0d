package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (p *program) check() *cobra.Command {
	return &cobra.Command{
		Use:   "check [NAME]",
		Short: "Tries whether a destination would take tonight's recordings",
		Long: "check looks at a destination, or at all of them, as a night would find it: whether it answers and is the right place,\n" +
			"writing, making durable, renaming, reading back and deleting a small file out of sight, space, the server, the\n" +
			"certificate and the clock. It leaves nothing behind, and runs beside a night. Each line says what was found and\n" +
			"what to do. The service does the same by itself after its start and three hours before each window.\n" +
			"It exits with 0 if no line is bad (warnings, and what cannot be known, are not), and with 1 if any is.",
		Example: "  wolkvox-agent check\n  wolkvox-agent check nas\n  wolkvox-agent check nas --output json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("check takes one name at most, as in the configuration")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			request := &backupv1.CheckRequest{}
			if len(args) == 1 {
				request.Destination = args[0]
			}
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.runCheck(ctx, client, request)
			})
		},
	}
}

func (p *program) runCheck(ctx context.Context, client backupv1.AgentServiceClient, request *backupv1.CheckRequest) error {
	stream, err := client.Check(ctx, request)
	if err != nil {
		return err
	}
	bad, shown := false, ""
	for {
		step, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if report := step.GetReport(); report != nil {
			bad = bad || report.GetVerdict() == backupv1.CheckVerdict_CHECK_VERDICT_BAD
		}
		if err := p.writeCheck(step, shown); err != nil {
			return err
		}
		shown = step.GetDestination()
	}
	if bad {
		return errBad
	}
	return nil
}

// writeCheck shows a line as it comes, or as JSON the report of each destination.
func (p *program) writeCheck(step *backupv1.CheckResponse, shown string) error {
	report := step.GetReport()
	if p.output == outputJSON {
		if report == nil {
			return nil
		}
		return p.writeMessage(step)
	}
	if step.GetDestination() != shown {
		if shown != "" {
			fmt.Fprintln(p.stdout)
		}
		fmt.Fprintf(p.stdout, "%s:\n", step.GetDestination())
	}
	if line := step.GetLine(); line != nil {
		return p.writeCheckLine(line)
	}
	_, err := fmt.Fprintf(p.stdout, "%s: %s\n", step.GetDestination(), verdictText(report.GetVerdict()))
	return err
}

func (p *program) writeCheckLine(line *backupv1.CheckLine) error {
	_, err := fmt.Fprintf(p.stdout, "  %-7s  %-11s  %s\n", verdictWord(line.GetVerdict()), line.GetSubject(), line.GetMessage())
	return err
}

func verdictWord(v backupv1.CheckVerdict) string {
	switch v {
	case backupv1.CheckVerdict_CHECK_VERDICT_GOOD:
		return "good"
	case backupv1.CheckVerdict_CHECK_VERDICT_WARNING:
		return "WARNING"
	case backupv1.CheckVerdict_CHECK_VERDICT_BAD:
		return "BAD"
	}
	return "unknown"
}

// verdictText says what a check of a destination amounts to.
func verdictText(v backupv1.CheckVerdict) string {
	switch v {
	case backupv1.CheckVerdict_CHECK_VERDICT_GOOD:
		return "all is good"
	case backupv1.CheckVerdict_CHECK_VERDICT_WARNING:
		return "it would take recordings; somebody should look at the warnings"
	case backupv1.CheckVerdict_CHECK_VERDICT_BAD:
		return "it would not take recordings, or not all, until what is bad is put right"
	}
	return "nothing is bad; not everything can be known"
}

// writeLastCheck shows what was not good when a destination was checked last.
func (p *program) writeLastCheck(report *backupv1.CheckReport) {
	if report == nil {
		return
	}
	fmt.Fprintf(p.stdout, "check of %s: %s\n", report.GetCheckTime().AsTime().Local().Format("2006-01-02 15:04"), verdictText(report.GetVerdict()))
	for _, line := range report.GetLines() {
		if line.GetVerdict() > backupv1.CheckVerdict_CHECK_VERDICT_UNKNOWN {
			fmt.Fprintf(p.stdout, "! %s (%s): %s\n", line.GetSubject(), verdictWord(line.GetVerdict()), line.GetMessage())
		}
	}
}
