package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/control"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/report"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// reportFlags are what somebody wants of a report.
type reportFlags struct {
	night, from, until, month string
	format, language, target  string
	files                     bool
}

func (p *program) report() *cobra.Command {
	var flags reportFlags
	cmd := &cobra.Command{
		Use:   "report [DESTINATION]",
		Short: "Says what became of the recordings of a night, or of many",
		Long: "report says of each night how many recordings, bytes and hours of audio were expected, and what became of them:\n" +
			"confirmed, pending, expired and why, waived, released, withdrawn and replaced; and how many interactions have no\n" +
			"recording. A night without recordings has its line too. Without dates it is about the last 30 nights.\n" +
			"The file of --to ends in .html, .csv, .json or .txt, or --format says what it is. It asks the agent's own ledger only.",
		Example: "  wolkvox-agent report\n  wolkvox-agent report nas --month 2026-10 --to october.html\n" +
			"  wolkvox-agent report --night 2026-10-31 --files --format csv\n  wolkvox-agent report --from 2026-10-01 --until 2026-10-15 --language es",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("report takes one destination at most, as in the configuration")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			request, err := flags.request()
			if err != nil {
				return usageError{err}
			}
			request.Destination = append(args, "")[0]
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.makeReport(ctx, client, request, flags)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.night, "night", "", "one night, YYYY-MM-DD")
	f.StringVar(&flags.from, "from", "", "the first night, YYYY-MM-DD")
	f.StringVar(&flags.until, "until", "", "the last night, YYYY-MM-DD")
	f.StringVar(&flags.month, "month", "", "a month, YYYY-MM")
	f.StringVar(&flags.format, "format", "", "html, csv, json or text")
	f.StringVar(&flags.language, "language", "", "en or es; without it that of the configuration")
	f.StringVar(&flags.target, "to", "", "the file to write; without it the report is shown")
	f.BoolVar(&flags.files, "files", false, "name every recording too")
	return cmd
}

// request says which nights the flags mean.
func (f reportFlags) request() (*backupv1.ReportRequest, error) {
	request := &backupv1.ReportRequest{FirstNight: f.from, LastNight: f.until, Files: f.files}
	given := 0
	for _, text := range []string{f.night, f.month, f.from + f.until} {
		if text != "" {
			given++
		}
	}
	if given > 1 {
		return nil, errors.New("give --night, --month, or --from and --until")
	}
	switch {
	case f.night != "":
		request.FirstNight, request.LastNight = f.night, f.night
	case f.month != "":
		first, err := time.Parse("2006-01", f.month)
		if err != nil || first.Format("2006-01") != f.month {
			return nil, fmt.Errorf("--month is %q; give YYYY-MM", f.month)
		}
		request.FirstNight = backup.DateOf(first).String()
		request.LastNight = backup.DateOf(first.AddDate(0, 1, -1)).String()
	}
	for _, date := range []string{request.FirstNight, request.LastNight} {
		if _, err := backup.ParseDate(date); date != "" && err != nil {
			return nil, err
		}
	}
	return request, nil
}

// form returns format and language as the flags, the file's name and the configuration say.
func (p *program) form(f reportFlags) (report.Format, fault.Language, error) {
	format := report.Format(f.format)
	if format == "" {
		switch ending := strings.ToLower(strings.TrimPrefix(filepath.Ext(f.target), ".")); {
		case ending == "txt":
			format = report.Text
		case f.target != "":
			format = report.Format(ending)
		case p.output == outputJSON:
			format = report.JSON
		default:
			format = report.Text
		}
	}
	if !format.Known() {
		return "", "", usageError{fmt.Errorf("the report would be %q; give --format html, csv, json or text", format)}
	}
	language := fault.Language(f.language)
	if !language.Known() {
		return "", "", usageError{fmt.Errorf("--language is %q; give en or es", f.language)}
	}
	if language == "" {
		c, err := p.load()
		if err != nil {
			return "", "", err
		}
		language = c.Language
	}
	return format, language, nil
}

func (p *program) makeReport(ctx context.Context, client backupv1.AgentServiceClient, request *backupv1.ReportRequest, flags reportFlags) (err error) {
	format, language, err := p.form(flags)
	if err != nil {
		return err
	}
	if request.Destination, err = only(ctx, client, request.Destination); err != nil {
		return err
	}
	r, err := p.receiveReport(ctx, client, request)
	if err != nil {
		return err
	}
	if flags.target == "" {
		return r.Write(p.stdout, format, language)
	}
	// The file has its name once all of it is there.
	partial := flags.target + ".partial"
	file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	err = r.Write(file, format, language)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(partial, flags.target)
	}
	if err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	if p.output == outputJSON {
		return p.writeJSON(map[string]string{"file": flags.target, "format": string(format)})
	}
	_, err = fmt.Fprintf(p.stdout, "the report is in %s\n", flags.target)
	return err
}

// receiveReport takes in what all of a report is about, and its nights. Its files are received as they are written.
func (p *program) receiveReport(ctx context.Context, client backupv1.AgentServiceClient, request *backupv1.ReportRequest) (r report.Report, err error) {
	stream, err := client.Report(ctx, request)
	if err != nil {
		return r, err
	}
	first, err := stream.Recv()
	if err != nil {
		return r, err
	}
	if r, err = control.ParseReportHead(first.GetHead()); err != nil {
		return r, err
	}
	next, end := stream.Recv()
	for ; end == nil && next.GetNight() != nil; next, end = stream.Recv() {
		night, err := control.ParseReportNight(next.GetNight())
		if err != nil {
			return r, err
		}
		r.Nights = append(r.Nights, night)
	}
	if end != nil && !errors.Is(end, io.EOF) {
		return r, end
	}
	if !request.GetFiles() {
		return r, nil
	}
	r.Files = func(yield func(report.File, error) bool) {
		for ; end == nil; next, end = stream.Recv() {
			for _, m := range next.GetFiles().GetFiles() {
				file, err := control.ParseReportFile(m)
				if !yield(file, err) || err != nil {
					return
				}
			}
		}
		if !errors.Is(end, io.EOF) {
			yield(report.File{}, end)
		}
	}
	return r, nil
}
