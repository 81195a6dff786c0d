package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func (p *program) expired() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "expired",
		Short: "Says what expired and why; fetches it, exports it as a bag, or declines it",
		Long: "What could not be copied until its deadline is expired: no night tries it any more. While wolkvox keeps it you can fetch\n" +
			"it, or carry it yourself: `expired export` makes a bag of it, and `import` takes files back, wherever they come from.",
		Example: "  wolkvox-agent expired list nas\n  wolkvox-agent expired fetch --all\n  wolkvox-agent expired export /media/usb/bag\n" +
			"  wolkvox-agent expired waive --night 2026-11-02 --reason not-needed",
	}
	group(cmd)
	cmd.AddCommand(p.expiredList(), p.expiredFetch(), p.expiredExport(), p.expiredWaive())
	return cmd
}

func (p *program) expiredList() *cobra.Command {
	return &cobra.Command{
		Use:   "list [DESTINATION]",
		Short: "Lists what expired: since when, why, and how long wolkvox keeps it",
		Long: "list names every recording that is not tried any more, with the last fault that it met: what kind it was, whose matter,\n" +
			"and what was to be done. With --output json every recording is an object on a line of its own.",
		Example: "  wolkvox-agent expired list\n  wolkvox-agent expired list nas --output json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("expired list takes one destination at most")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			destination := ""
			if len(args) == 1 {
				destination = args[0]
			}
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.listExpired(ctx, client, destination)
			})
		},
	}
}

func (p *program) listExpired(ctx context.Context, client backupv1.AgentServiceClient, destination string) error {
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	count := 0
	err := eachExpired(ctx, client, &backupv1.ListExpiredRequest{Destination: destination}, func(page *backupv1.ListExpiredResponse, e *backupv1.ExpiredItem) error {
		if count++; p.output == outputJSON {
			text, err := wire.CompactJSON(e)
			if err == nil {
				_, err = p.stdout.Write(append(text, '\n'))
			}
			return err
		}
		if count == 1 {
			fmt.Fprintln(w, "destination\tnight\tpath\tsize\tclosed\tkept until\twhy")
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", page.GetDestination(), e.GetNight(), expiredPath(e), bytesText(e.GetItem().GetSizeBytes()),
			day(e.GetClosedTime().AsTime()), keptUntil(e), expiredWhy(e.GetItem().GetLastFault()))
		if err == nil && count%1000 == 0 { // however many there are, few wait to be written
			err = w.Flush()
		}
		return err
	})
	if err != nil || p.output == outputJSON {
		return err
	}
	if count == 0 {
		_, err := fmt.Fprintln(p.stdout, "nothing is expired")
		return err
	}
	return w.Flush()
}

// eachExpired calls each for every expired recording.
func eachExpired(ctx context.Context, client backupv1.AgentServiceClient, request *backupv1.ListExpiredRequest, each func(*backupv1.ListExpiredResponse, *backupv1.ExpiredItem) error) error {
	stream, err := client.ListExpired(ctx, request)
	if err != nil {
		return err
	}
	for {
		page, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range page.GetItems() {
			if err := each(page, e); err != nil {
				return err
			}
		}
	}
}

func day(t time.Time) string { return t.Local().Format(time.DateOnly) }

func expiredPath(e *backupv1.ExpiredItem) string {
	if e.GetItem().GetPath() == "" {
		return "(erased)"
	}
	return e.GetItem().GetPath()
}

func keptUntil(e *backupv1.ExpiredItem) string {
	if e.GetSourceKeptTime() == nil {
		return "not said"
	}
	return day(e.GetSourceKeptTime().AsTime())
}

func expiredWhy(f *backupv1.Fault) string {
	if f == nil {
		return "no fault was met: it was not tried"
	}
	return fmt.Sprintf("%s (%s), %s: %s", f.GetClass(), f.GetParty(), day(f.GetLastTime().AsTime()), f.GetMessage())
}

// selectionFlags adds the flags by which recordings are chosen.
func selectionFlags(cmd *cobra.Command, s *backupv1.ItemSelection) {
	cmd.Flags().StringVar(&s.Destination, "destination", "", "the destination, where there are several")
	cmd.Flags().StringVar(&s.Night, "night", "", "those of this night, YYYY-MM-DD")
	cmd.Flags().StringArrayVar(&s.Paths, "path", nil, "the one with this path; may be given again")
	cmd.Flags().BoolVar(&s.All, "all", false, "all that is expired")
}

// checkSelection looks whether exactly one way of choosing was taken.
func checkSelection(s *backupv1.ItemSelection) error {
	given := 0
	for _, is := range []bool{s.GetNight() != "", len(s.GetPaths()) > 0, s.GetAll()} {
		if is {
			given++
		}
	}
	if given != 1 {
		return usageError{errors.New("say which recordings: one of --night, --path and --all")}
	}
	return nil
}

func (p *program) expiredFetch() *cobra.Command {
	request := &backupv1.FetchExpiredRequest{Selection: &backupv1.ItemSelection{}, Person: &backupv1.Person{}}
	cmd := &cobra.Command{
		Use:   "fetch",
		Short: "Copies what expired now, while wolkvox keeps it",
		Long: "fetch copies expired recordings as a night would, whatever the time of day, and shows how far it has come. They end\n" +
			"confirmed. It exits with 0 if all that was asked for is confirmed, and with 1 if not.",
		Example: "  wolkvox-agent expired fetch --all\n  wolkvox-agent expired fetch --night 2026-11-02\n  wolkvox-agent expired fetch --path calls/a.gsm --path calls/b.gsm",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkSelection(request.GetSelection()); err != nil {
				return err
			}
			return p.withAgent(cmd.Context(), true, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.fetchExpired(ctx, client, request)
			})
		},
	}
	selectionFlags(cmd, request.Selection)
	cmd.Flags().StringVar(&request.Person.Name, "by", userName(), "who asks for it, for the agent's list of acts")
	return cmd
}

func (p *program) fetchExpired(ctx context.Context, client backupv1.AgentServiceClient, request *backupv1.FetchExpiredRequest) error {
	if err := p.sayBusy(ctx, client, request.GetSelection().GetDestination()); err != nil {
		return err
	}
	stream, err := client.FetchExpired(ctx, request)
	if err != nil {
		return err
	}
	show := p.progress()
	defer show.end()
	complete := false
	for {
		step, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		same := &backupv1.RunResponse{Destination: step.GetDestination(), WantedBytes: step.GetWantedBytes(), FetchedBytes: step.GetFetchedBytes()}
		if step.GetResult() != nil {
			same.Result = &backupv1.RunResult{}
		}
		show.step(same)
		if step.GetResult() == nil {
			continue
		}
		complete = step.GetResult().GetComplete()
		if err := p.fetchedExpired(step); err != nil {
			return err
		}
	}
	if !complete {
		return errBad
	}
	return nil
}

func (p *program) fetchedExpired(step *backupv1.FetchExpiredResponse) error {
	if p.output == outputJSON {
		return p.writeMessage(step)
	}
	fmt.Fprintf(p.stdout, "%s: %d of %d expired recordings are confirmed now, %s fetched; agreed head %s\n", step.GetDestination(), step.GetConfirmedCount(),
		step.GetWantedCount(), bytesText(step.GetFetchedBytes()), headText(step.GetResult().GetAgreed()))
	if message := step.GetResult().GetMessage(); message != "" {
		_, err := fmt.Fprintf(p.stdout, "%s: %s\n", step.GetDestination(), message)
		return err
	}
	return nil
}

var waiverReasons = map[string]backupv1.WaiverReason{
	"declined":       backupv1.WaiverReason_WAIVER_REASON_DECLINED,
	"not-needed":     backupv1.WaiverReason_WAIVER_REASON_NOT_NEEDED,
	"kept-elsewhere": backupv1.WaiverReason_WAIVER_REASON_KEPT_ELSEWHERE,
}

func (p *program) expiredWaive() *cobra.Command {
	request := &backupv1.WaiveItemsRequest{Selection: &backupv1.ItemSelection{}, Person: &backupv1.Person{}}
	var reason string
	cmd := &cobra.Command{
		Use:   "waive",
		Short: "Declines what expired, for a reason, in the ledger that both sides hold",
		Long: "waive signs that you do not want expired recordings, and ends when the ledger says so. A recording that was declined\n" +
			"can still be brought with `import`, and is confirmed then. The reason is one of declined, not-needed, kept-elsewhere.",
		Example: "  wolkvox-agent expired waive --night 2026-11-02 --reason kept-elsewhere\n  wolkvox-agent expired waive --path calls/a.gsm --reason not-needed",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkSelection(request.GetSelection()); err != nil {
				return err
			}
			var ok bool
			if request.Reason, ok = waiverReasons[reason]; !ok {
				return usageError{errors.New("--reason is one of declined, not-needed, kept-elsewhere")}
			}
			return p.withAgent(cmd.Context(), true, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				if err := p.sayBusy(ctx, client, request.GetSelection().GetDestination()); err != nil {
					return err
				}
				response, err := client.WaiveItems(ctx, request)
				if err != nil {
					return err
				}
				if p.output == outputJSON {
					return p.writeMessage(response)
				}
				_, err = fmt.Fprintf(p.stdout, "%s: %d expired recordings are declined (%s), and the ledger says so\n", response.GetDestination(), response.GetWaivedCount(), reason)
				return err
			})
		},
	}
	selectionFlags(cmd, request.Selection)
	cmd.Flags().StringVar(&reason, "reason", "", "declined, not-needed or kept-elsewhere")
	cmd.Flags().StringVar(&request.Person.Name, "by", userName(), "who declines them, for the agent's list of acts")
	return cmd
}

// sayBusy tells whoever waits that a run goes on, which has to end before anything is done by hand.
func (p *program) sayBusy(ctx context.Context, client backupv1.AgentServiceClient, destination string) error {
	status, err := client.GetStatus(ctx, &backupv1.GetStatusRequest{})
	if err != nil {
		return err
	}
	for _, d := range status.GetDestinations() {
		if d.GetRunning() && (destination == "" || destination == d.GetName()) {
			fmt.Fprintf(p.stderr, "a run of %s goes on; this begins when it has ended\n", d.GetName())
		}
	}
	return nil
}
