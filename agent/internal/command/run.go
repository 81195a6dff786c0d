package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/wolkvox/backup/agent/internal/control"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/store"
)

func (p *program) run() *cobra.Command {
	var once, dry bool
	var destination string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Runs the agent; with --once copies what is pending now and ends; with --dry says what that would be",
		Long: "run is what the service does: it keeps in touch with the server and copies in the nightly window.\n" +
			"run --once copies everything that is pending now, outside the window too, shows how far it has come, and\n" +
			"ends with status 0 only if nothing is pending any more and both sides agree. It does so in a pause too.\n" +
			"run --dry copies nothing: it says how much would come, how long that takes at the rate of the last runs, and\n" +
			"what keeps a run from beginning by itself now.",
		Example: "  wolkvox-agent run\n  wolkvox-agent run --once\n  wolkvox-agent run --once --destination nas\n  wolkvox-agent run --dry",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if once && dry {
				return usageError{errors.New("--once copies and --dry does not; give one")}
			}
			if dry {
				return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
					return p.planRun(ctx, client, destination)
				})
			}
			if once {
				return p.withAgent(cmd.Context(), true, func(ctx context.Context, client backupv1.AgentServiceClient) error {
					return p.runOnce(ctx, client, destination)
				})
			}
			if destination != "" {
				return usageError{errors.New("--destination goes with --once or --dry")}
			}
			return p.serve(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "copy what is pending now, then end")
	cmd.Flags().BoolVar(&dry, "dry", false, "only say what would be copied")
	cmd.Flags().StringVar(&destination, "destination", "", "only this destination")
	return cmd
}

// serve is the agent as a service.
func (p *program) serve(ctx context.Context) (err error) {
	c, err := p.load()
	if err != nil {
		return err
	}
	a, err := p.openWhenRoom(ctx, p.options(c, slog.LevelInfo))
	if err != nil || a == nil {
		return err
	}
	defer func() { err = both(err, a.Close()) }()
	listener, err := control.Listen(c.Socket, c.SocketGroup)
	if err != nil {
		return err
	}
	return a.Run(ctx, listener)
}

// roomEvery is how often is looked whether there is room for the agent's state.
const roomEvery = time.Second

// openWhenRoom opens the agent as soon as the volume of its state has room for it; nil where ctx ends first.
func (p *program) openWhenRoom(ctx context.Context, o Options) (Agent, error) {
	for said := false; ; said = true {
		a, err := p.open(o)
		if !errors.Is(err, store.ErrNoRoom) {
			return a, err
		}
		if !said {
			o.Logger.LogAttrs(ctx, slog.LevelError, "the agent begins when there is room for its state", slog.Any("error", err))
		}
		select {
		case <-time.After(roomEvery):
		case <-ctx.Done():
			return nil, nil
		}
	}
}

func (p *program) runOnce(ctx context.Context, client backupv1.AgentServiceClient, destination string) error {
	if err := p.sayPaused(ctx, client, destination); err != nil {
		return err
	}
	stream, err := client.Run(ctx, &backupv1.RunRequest{Destination: destination})
	if err != nil {
		return err
	}
	show := p.progress()
	defer show.end()
	complete := true
	for {
		step, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		show.step(step)
		if result := step.GetResult(); result != nil {
			complete = complete && result.GetComplete()
			if err := p.result(step); err != nil {
				return err
			}
		}
	}
	if !complete {
		return errBad
	}
	return nil
}

// result says how a run ended.
func (p *program) result(step *backupv1.RunResponse) error {
	if p.output == outputJSON {
		return p.writeMessage(step)
	}
	r := step.GetResult()
	fmt.Fprintf(p.stdout, "%s: %d recordings confirmed, %s fetched", step.GetDestination(), step.GetConfirmedCount(), bytesText(step.GetFetchedBytes()))
	if n := step.GetFaultCount(); n > 0 {
		fmt.Fprintf(p.stdout, ", %d faults", n)
	}
	fmt.Fprintf(p.stdout, "; agreed head %s\n", headText(r.GetAgreed()))
	if !r.GetComplete() {
		_, err := fmt.Fprintf(p.stdout, "%s: not complete: %s\n", step.GetDestination(), r.GetMessage())
		return err
	}
	return nil
}

// progressBar shows how far a run has come, on a terminal only: one line for each destination in turn.
type progressBar struct {
	output    io.Writer // nil where it is no terminal
	container *mpb.Progress
	bar       *mpb.Bar // of the destination that runs; nil where none does

	read, confirmed atomic.Int64 // files and recordings of an import
}

func (p *program) progress() *progressBar {
	file, ok := p.stdout.(*os.File)
	if p.output != outputHuman || !ok || !term.IsTerminal(int(file.Fd())) {
		return &progressBar{}
	}
	return &progressBar{output: p.stdout}
}

func (b *progressBar) step(step *backupv1.RunResponse) {
	if b.output == nil {
		return
	}
	if b.bar == nil {
		b.container = mpb.New(mpb.WithOutput(b.output))
		b.bar = b.container.AddBar(0,
			mpb.PrependDecorators(decor.Name(step.GetDestination()+" ")),
			mpb.AppendDecorators(decor.CountersKiloByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1000(0), "  % .1f")))
	}
	b.bar.SetTotal(max(step.GetWantedBytes(), 1), false)
	b.bar.SetCurrent(step.GetFetchedBytes())
	if step.GetResult() != nil {
		b.bar.SetTotal(-1, true)
		b.end()
	}
}

// end leaves the line as it is, so that something else can be written.
func (b *progressBar) end() {
	if b.bar != nil {
		b.bar.Abort(false) // nothing where it is complete
		b.container.Wait()
		b.bar = nil
	}
}
