package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"google.golang.org/protobuf/encoding/protojson"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/size"
)

// auditFlags is how to look.
type auditFlags struct {
	level, sample, rate, seed string
	fromStart                 bool
}

func (p *program) audit() *cobra.Command {
	var flags auditFlags
	cmd := &cobra.Command{
		Use:   "audit [NAME]",
		Short: "Compares what the ledger says with what the destination holds, and names every file that differs",
		Long: "audit names what is confirmed and missing, altered or unreadable, and files that are in no manifest, which are never touched.\n" +
			"Level list compares names and sizes (and checksums that the destination computes itself, where it does); level read reads every\n" +
			"byte. It runs beside a night. What is lost is looked at again, signed as lost, and copied again by the next night while wolkvox\n" +
			"tries; if it is more than 1 %, nothing is signed before a second audit found the same, or you accepted it. A destination that\n" +
			"cannot be reached ends the audit, and nothing follows. Interrupted, the same command goes on where it was.\n" +
			"It exits with 0 if all is there as it was, and with 1 if not.",
		Example: "  wolkvox-agent audit nas\n  wolkvox-agent audit nas --level list\n  wolkvox-agent audit nas --sample 5 --rate 20MiB\n" +
			"  wolkvox-agent audit nas --output json",
		Args: atMostOneDestination,
		RunE: func(cmd *cobra.Command, args []string) error {
			request, err := flags.request()
			if err != nil {
				return usageError{err}
			}
			return p.withAgent(cmd.Context(), true, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				if request.Destination, err = p.onlyDestination(ctx, client, args); err != nil {
					return err
				}
				return p.runAudit(ctx, client, request)
			})
		},
	}
	cmd.Flags().StringVar(&flags.level, "level", "read", "list or read")
	cmd.Flags().StringVar(&flags.sample, "sample", "", "only so many percent of the recordings, such as 5")
	cmd.Flags().StringVar(&flags.seed, "seed", "", "what the sample is drawn by; the date where not given")
	cmd.Flags().StringVar(&flags.rate, "rate", "", "the most that is read in a second, such as 20MiB")
	cmd.Flags().BoolVar(&flags.fromStart, "from-start", false, "begin anew, although an audit was interrupted")
	return cmd
}

func (f auditFlags) request() (*backupv1.AuditDestinationRequest, error) {
	r := &backupv1.AuditDestinationRequest{Seed: f.seed, FromStart: f.fromStart}
	switch f.level {
	case "list":
		r.Level = backupv1.AuditLevel_AUDIT_LEVEL_LIST
	case "read":
		r.Level = backupv1.AuditLevel_AUDIT_LEVEL_READ
	default:
		return nil, fmt.Errorf("--level is %q; give list or read", f.level)
	}
	if f.sample != "" {
		var rest string
		if n, _ := fmt.Sscanf(f.sample+" ", "%g%s", &r.SamplePercent, &rest); n == 0 || rest != "" && rest != "%" || !(r.SamplePercent > 0 && r.SamplePercent <= 100) {
			return nil, fmt.Errorf("--sample is %q; give a number of percent greater than 0 and at most 100, such as 5", f.sample)
		}
	} else if f.seed != "" {
		return nil, errors.New("--seed goes with --sample")
	}
	if f.rate != "" {
		rate, err := size.Parse(f.rate)
		if err != nil || rate < 1<<10 {
			return nil, fmt.Errorf("--rate is %q; give bytes per second, such as 20MiB, and at least 1KiB", f.rate)
		}
		r.BytesPerSecond = int64(rate)
	}
	return r, nil
}

// onlyDestination returns the destination that is named, or the only one that there is.
func (p *program) onlyDestination(ctx context.Context, client backupv1.AgentServiceClient, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	status, err := p.askStatus(ctx, client)
	if err != nil {
		return "", err
	}
	if all := status.GetDestinations(); len(all) == 1 {
		return all[0].GetName(), nil
	}
	return "", usageError{errors.New("this agent serves several destinations: name one")}
}

func (p *program) runAudit(ctx context.Context, client backupv1.AgentServiceClient, request *backupv1.AuditDestinationRequest) error {
	stream, err := client.AuditDestination(ctx, request)
	if err != nil {
		return err
	}
	show := p.progress()
	defer show.end()
	found := findingsWriter{program: p}
	for {
		step, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the audit ended without a result")
		}
		if err != nil {
			return err
		}
		show.looked(request.GetDestination(), step.GetCounts())
		for _, f := range step.GetFindings() {
			show.end()
			if err := found.write(f); err != nil {
				return err
			}
		}
		if report := step.GetReport(); report != nil {
			show.end()
			if err := found.end(report); err != nil {
				return err
			}
			if !auditIsWell(report) {
				return errBad
			}
			return nil
		}
	}
}

// auditIsWell reports whether nobody has to do anything after an audit.
func auditIsWell(r *backupv1.AuditReport) bool {
	c := r.GetCounts()
	return r.GetOutcome() == backupv1.AuditOutcome_AUDIT_OUTCOME_COMPLETE && !r.GetWentBack() &&
		c.GetMissingCount()+c.GetAlteredCount()+c.GetUnreadableCount() == 0
}

// auditIsSettled reports whether nobody has to do anything because of the last audit: what was lost is in the log, whose counts say
// what became of it.
func auditIsSettled(r *backupv1.AuditReport) bool {
	c := r.GetCounts()
	return r.GetOutcome() == backupv1.AuditOutcome_AUDIT_OUTCOME_COMPLETE && c.GetUnreadableCount() == 0
}

// findingsWriter writes what an audit finds as it comes: a line each, or the array of one JSON object.
type findingsWriter struct {
	*program
	begun bool
}

func (w *findingsWriter) write(f *backupv1.AuditFinding) error {
	if w.output == outputJSON {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(f)
		if err != nil {
			return err
		}
		lead := ",\n    "
		if !w.begun {
			lead = "{\n  \"findings\": [\n    "
		}
		w.begun = true
		_, err = fmt.Fprintf(w.stdout, "%s%s", lead, text)
		return err
	}
	_, err := fmt.Fprintf(w.stdout, "%-10s  %s%s\n", classWord(f.GetClass()), f.GetName(), findingDetail(f))
	return err
}

func (w *findingsWriter) end(r *backupv1.AuditReport) error {
	if w.output == outputJSON {
		text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(r)
		if err != nil {
			return err
		}
		lead := "\n  ],\n"
		if !w.begun {
			lead = "{\n  \"findings\": [],\n"
		}
		_, err = fmt.Fprintf(w.stdout, "%s  \"report\": %s\n}\n", lead, text)
		return err
	}
	_, err := fmt.Fprintln(w.stdout, r.GetMessage())
	return err
}

// classWord is the class of a finding for people.
func classWord(c backupv1.AuditClass) string {
	return strings.ToLower(strings.TrimPrefix(c.String(), "AUDIT_CLASS_"))
}

func findingDetail(f *backupv1.AuditFinding) string {
	var all []string
	if f.GetNight() != "" {
		all = append(all, "night "+f.GetNight())
	}
	if f.SizeBytes != nil {
		all = append(all, fmt.Sprintf("%d bytes there", f.GetSizeBytes()))
	}
	if len(f.GetSha256()) > 0 {
		all = append(all, fmt.Sprintf("with SHA-256 %x", f.GetSha256()))
	}
	if why := f.GetFault(); why != nil {
		all = append(all, fmt.Sprintf("%s, %s: %s", why.GetCode(), why.GetParty(), why.GetMessage()))
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}

// looked shows how many recordings were looked at.
func (b *progressBar) looked(name string, counts *backupv1.AuditCounts) {
	if b.output == nil || counts == nil {
		return
	}
	if b.bar == nil {
		b.container = mpb.New(mpb.WithOutput(b.output))
		b.bar = b.container.AddBar(0,
			mpb.PrependDecorators(decor.Name(name+" ")),
			mpb.AppendDecorators(decor.CountersNoUnit("%d / %d recordings looked at")))
	}
	b.bar.SetTotal(max(counts.GetWantedCount(), 1), false)
	b.bar.SetCurrent(counts.GetLookedCount())
}

// writeLastAudit shows how the last audit ended.
func (p *program) writeLastAudit(r *backupv1.AuditReport) {
	if r == nil {
		return
	}
	mark := ""
	if !auditIsSettled(r) {
		mark = "! "
	}
	how := classLevel(r.GetLevel())
	if r.GetSamplePercent() < 100 {
		how += fmt.Sprintf(", a sample of %g %%", r.GetSamplePercent())
	}
	fmt.Fprintf(p.stdout, "%saudit of %s (%s): %s\n", mark, r.GetEndTime().AsTime().Local().Format("2006-01-02 15:04"), how, r.GetMessage())
}

func classLevel(l backupv1.AuditLevel) string {
	return "level " + strings.ToLower(strings.TrimPrefix(l.String(), "AUDIT_LEVEL_"))
}
