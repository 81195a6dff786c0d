package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"google.golang.org/grpc"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/bag"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// What is offered at a time, and sent at a time.
const (
	offerGroup  = 4096
	offerAtOnce = 500
	pieceBytes  = 256 << 10
)

func (p *program) importFiles() *cobra.Command {
	i := &importing{program: p}
	cmd := &cobra.Command{
		Use:   "import DIR",
		Short: "Takes files that you carried by any means, where they are recordings that are missing",
		Long: "import reads every file below DIR, which may be a BagIt bag or any folder, and compares its contents with the\n" +
			"recordings that are expired, declined, or still tried. Names do not matter. What is missing is written where it\n" +
			"belongs, read back and signed for as brought by hand. Nothing in DIR is changed; symbolic links are not followed;\n" +
			"it can be run again. Who brought the files is written into the agent's own list of acts, and nowhere else.\n" +
			"It exits with 0 if every file is confirmed, and with 1 if one was refused, left out or could not be taken.",
		Example: "  wolkvox-agent import /media/usb/bag\n  wolkvox-agent import carried --destination nas --by Ana",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("import takes one folder")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if i.folder, err = bag.Open(args[0]); err != nil {
				return err
			}
			defer func() { err = both(err, i.folder.Close()) }()
			return p.withAgent(cmd.Context(), true, i.run)
		},
	}
	cmd.Flags().StringVar(&i.begin.Destination, "destination", "", "the destination, where there are several")
	cmd.Flags().StringVar(&i.by, "by", userName(), "who brings the files, for the agent's list of acts")
	cmd.Flags().BoolVar(&i.verbose, "verbose", false, "name every file, also those that are confirmed")
	return cmd
}

// userName is who runs the command; empty where the system does not say.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// importing is one run of the command.
type importing struct {
	*program
	folder  *bag.Folder
	begin   backupv1.ImportBegin
	by      string
	verbose bool

	client grpc.BidiStreamingClient[backupv1.ImportFilesRequest, backupv1.ImportFilesResponse]
	show   *progressBar
	names  []string // of the group
	counts importCounts
	agreed *backupv1.LogPosition
}

// importCounts is what became of the files. The names are those of the JSON output.
type importCounts struct {
	Files           int64 `json:"files"`
	Confirmed       int64 `json:"confirmed"`
	ConfirmedBefore int64 `json:"confirmed_before"`
	Refused         int64 `json:"refused"`
	Failed          int64 `json:"failed"`
	LeftOut         int64 `json:"left_out"`
	Recordings      int64 `json:"recordings_confirmed"` // files may be several
	Missing         int64 `json:"missing_in_bag"`       // named by the bag's own manifest
}

func (c importCounts) good() bool { return c.Refused+c.Failed+c.LeftOut+c.Missing == 0 }

func (i *importing) run(ctx context.Context, agent backupv1.AgentServiceClient) (err error) {
	if err := i.sayBusy(ctx, agent, i.begin.Destination); err != nil {
		return err
	}
	if i.client, err = agent.ImportFiles(ctx); err != nil {
		return err
	}
	i.begin.Person = &backupv1.Person{Name: i.by}
	if err := i.send(&backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Begin{Begin: &i.begin}}); err != nil {
		return err
	}
	i.show = i.progress()
	defer i.show.end()
	var group []*backupv1.ImportOffer
	for entry := range i.folder.All() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		i.counts.Files++
		digest, err := i.read(entry)
		if err != nil {
			if err := i.leftOut(entry.Name, err); err != nil {
				return err
			}
			continue
		}
		group = append(group, &backupv1.ImportOffer{Name: strings.ToValidUTF8(entry.Name, "?"), Sha256: digest.SHA256[:], SizeBytes: digest.SizeBytes})
		i.names = append(i.names, entry.Name)
		if len(group) == offerGroup {
			if err := i.offer(group); err != nil {
				return err
			}
			group, i.names = nil, nil
		}
	}
	if len(group) > 0 {
		if err := i.offer(group); err != nil {
			return err
		}
	}
	if err := i.client.CloseSend(); err != nil {
		return err
	}
	if _, err := i.client.Recv(); !errors.Is(err, io.EOF) {
		return err
	}
	return i.end()
}

// send is the client's, with the reason for which the agent has ended the call.
func (i *importing) send(request *backupv1.ImportFilesRequest) error {
	err := i.client.Send(request)
	if errors.Is(err, io.EOF) {
		_, err = i.client.Recv()
	}
	return err
}

func (i *importing) read(entry bag.Entry) (backup.Digest, error) {
	if entry.Err != nil {
		return backup.Digest{}, entry.Err
	}
	digest, err := i.folder.Sum(entry.Name)
	i.show.files(i.counts.Files, i.counts.Recordings)
	return digest, err
}

// offer offers a group and answers for it until it has come to its end.
func (i *importing) offer(group []*backupv1.ImportOffer) error {
	for at := 0; at < len(group); at += offerAtOnce {
		part := group[at:min(at+offerAtOnce, len(group))]
		offers := &backupv1.ImportOffers{Files: part, Complete: at+len(part) == len(group)}
		if err := i.send(&backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Offers{Offers: offers}}); err != nil {
			return err
		}
	}
	for {
		response, err := i.client.Recv()
		if err != nil {
			return err
		}
		switch step := response.GetStep().(type) {
		case *backupv1.ImportFilesResponse_Wanted:
			err = i.supply(step.Wanted)
		case *backupv1.ImportFilesResponse_Result:
			err = i.result(step.Result, group)
		case *backupv1.ImportFilesResponse_End:
			i.counts.Recordings += step.End.GetConfirmedCount()
			i.agreed = step.End.GetAgreed()
			i.show.files(i.counts.Files, i.counts.Recordings)
			if problem := step.End.GetProblem(); problem != "" {
				return errors.New(problem)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// supply sends the contents of a file.
func (i *importing) supply(number int64) error {
	if number < 0 || number >= int64(len(i.names)) {
		return fmt.Errorf("the agent wants file %d of %d", number, len(i.names))
	}
	piece := func(p *backupv1.ImportPiece) error {
		return i.send(&backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Piece{Piece: p}})
	}
	problem := func(err error) error {
		return piece(&backupv1.ImportPiece{Problem: strings.ToValidUTF8(err.Error(), "?")})
	}
	file, err := i.folder.Open(i.names[number])
	if err != nil {
		return problem(err)
	}
	defer file.Close()
	buffer := make([]byte, pieceBytes)
	for {
		n, err := io.ReadFull(file, buffer)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return problem(err)
		}
		if err := piece(&backupv1.ImportPiece{Data: buffer[:n], Last: last}); err != nil || last {
			return err
		}
	}
}

// leftOut says of a file why it was not offered.
func (i *importing) leftOut(name string, err error) error {
	i.counts.LeftOut++
	return i.line(importLine{Name: name, Outcome: "left_out", Message: err.Error()})
}

// importLine is what is said of one file.
type importLine struct {
	Name    string   `json:"name"`
	Outcome string   `json:"outcome"`
	Paths   []string `json:"paths,omitempty"`
	Message string   `json:"message,omitempty"`
}

func (i *importing) result(r *backupv1.ImportResult, group []*backupv1.ImportOffer) error {
	if r.GetFile() < 0 || r.GetFile() >= int64(len(group)) {
		return fmt.Errorf("the agent speaks of file %d of %d", r.GetFile(), len(group))
	}
	line := importLine{Name: i.names[r.GetFile()], Paths: r.GetPaths(), Message: r.GetMessage()}
	switch r.GetOutcome() {
	case backupv1.ImportOutcome_IMPORT_OUTCOME_CONFIRMED:
		i.counts.Confirmed++
		line.Outcome = "confirmed"
	case backupv1.ImportOutcome_IMPORT_OUTCOME_CONFIRMED_BEFORE:
		i.counts.ConfirmedBefore++
		line.Outcome = "confirmed_before"
	case backupv1.ImportOutcome_IMPORT_OUTCOME_REFUSED:
		i.counts.Refused++
		line.Outcome = "refused"
		offer := group[r.GetFile()]
		if digest, err := wire.ParseDigest(offer.GetSha256(), offer.GetSizeBytes()); err == nil && i.folder.Damaged(line.Name, digest) {
			line.Message += "; nor is it what the bag's own manifest says: it was damaged on the way"
		}
	default:
		i.counts.Failed++
		line.Outcome = "failed"
	}
	return i.line(line)
}

// line says something of a file: with --verbose or in JSON of each, else only where a person has something to do.
func (i *importing) line(l importLine) error {
	if i.output == outputJSON {
		return i.writeLine(l)
	}
	confirmed := strings.HasPrefix(l.Outcome, "confirmed")
	if confirmed && !i.verbose {
		return nil
	}
	i.show.end()
	text := l.Message
	if l.Outcome == "confirmed" {
		text = strings.Join(l.Paths, ", ")
	}
	_, err := fmt.Fprintf(i.stdout, "%-16s  %s: %s\n", strings.ReplaceAll(l.Outcome, "_", " "), l.Name, text)
	return err
}

// end says what became of all files.
func (i *importing) end() error {
	i.show.end()
	missing := i.folder.Missing()
	i.counts.Missing = int64(len(missing))
	c := i.counts
	if i.output == outputJSON {
		if err := i.writeLine(struct {
			Summary importCounts `json:"summary"`
		}{c}); err != nil {
			return err
		}
	} else {
		if len(missing) > 0 {
			fmt.Fprintf(i.stdout, "the bag is not complete: %d files that its own manifest names are not in it, such as %s\n", len(missing), missing[0])
		}
		fmt.Fprintf(i.stdout, "%d files: %d confirmed now, %d were confirmed before, %d refused, %d failed, %d left out; %d recordings are confirmed that were not\n",
			c.Files, c.Confirmed, c.ConfirmedBefore, c.Refused, c.Failed, c.LeftOut, c.Recordings)
		if _, err := fmt.Fprintf(i.stdout, "agreed head %s\n", headText(i.agreed)); err != nil {
			return err
		}
	}
	if !c.good() {
		return errBad
	}
	return nil
}

// files shows how many files were read, and how many recordings are confirmed because of them.
func (b *progressBar) files(read, confirmed int64) {
	if b.output == nil {
		return
	}
	if b.bar == nil {
		b.container = mpb.New(mpb.WithOutput(b.output))
		b.bar = b.container.AddBar(0, mpb.BarFillerMiddleware(func(mpb.BarFiller) mpb.BarFiller { return mpb.NopStyle().Build() }),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
				return fmt.Sprintf("%d files read, %d recordings confirmed", b.read.Load(), b.confirmed.Load())
			})))
	}
	b.read.Store(read)
	b.confirmed.Store(confirmed)
}
