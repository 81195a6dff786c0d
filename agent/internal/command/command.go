// Package command is what people type: the commands of wolkvox-agent. Each asks the running service, and opens the
// agent's state itself only when no service answers. It holds flags, texts and exit statuses, and nothing else.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup/agent/internal/config"
)

// Exit statuses.
const (
	statusGood  = 0
	statusBad   = 1 // it failed, or what was asked about is not well
	statusUsage = 2
)

// errBad makes a command exit with statusBad after it has said everything itself.
var errBad = errors.New("not well")

// Agent is the agent itself, built and not yet at work.
type Agent interface {
	// Run keeps all parts going, and answers people at the listener, until ctx ends.
	Run(ctx context.Context, listener net.Listener) error
	// Serve only answers people at the listener until ctx ends.
	Serve(ctx context.Context, listener net.Listener) error
	// Close releases the agent's state.
	Close() error
}

// Options is what an agent is built from. BuildDate is zero where the build does not know it.
type Options struct {
	Config    config.Config
	Version   string
	BuildDate time.Time
	// ForCommand says that the agent is there for one command of a person's: nothing begins by itself.
	ForCommand bool
	Logger     *slog.Logger
}

// Open builds an agent on its state, which it holds until it is closed.
type Open func(Options) (Agent, error)

// program is what all commands share.
type program struct {
	open           Open
	stdin          io.Reader
	stdout, stderr io.Writer
	configPath     string
	output         string
	zone           *time.Location // the tenant's, where the agent has said so
}

// Run runs one command and returns the exit status. open is called where no service answers, and by the service itself.
func Run(ctx context.Context, open Open, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{open: open, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return statusGood
	case errors.Is(err, errBad):
		return statusBad
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "wolkvox-agent: %v\n", err)
		return statusUsage
	}
	fmt.Fprintf(stderr, "wolkvox-agent: %s\n", sentence(err))
	return statusBad
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "wolkvox-agent",
		Short: "Copies recordings from wolkvox to your own storage, and proves it",
		Long: "wolkvox-agent pulls the recordings of each night, writes them to your storage, reads them back, and signs\n" +
			"for what is there. Both sides hold the same ledger: what is confirmed, pending and expired.",
		Example: "  wolkvox-agent enroll --join-file join.txt\n  wolkvox-agent destination init nas\n" +
			"  wolkvox-agent run --once\n  wolkvox-agent status",
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if p.output != outputHuman && p.output != outputJSON {
				return usageError{fmt.Errorf("--output is %q; give human or json", p.output)}
			}
			return nil
		},
	}
	group(root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&p.configPath, "config", defaultConfigPath, "the configuration file")
	flags.StringVar(&p.output, "output", outputHuman, "human or json")
	root.AddCommand(p.enroll(), p.destination(), p.run(), p.pause(), p.resume(), p.status(), p.check(), p.audit(), p.report(), p.ledger(), p.prove(),
		p.evidence(), p.release(), p.expired(), p.importFiles(), p.storage(), p.find(), p.version())
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// group makes a command that only holds others.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("%s has no command %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())}
		}
		return usageError{fmt.Errorf("%s needs a command; see %s --help", cmd.CommandPath(), cmd.CommandPath())}
	}
	return cmd
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments, but there is %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

func (p *program) load() (config.Config, error) { return config.Load(p.configPath) }

func (p *program) options(c config.Config, level slog.Level) Options {
	version, built := buildInfo()
	return Options{Config: c, Version: version, BuildDate: built,
		Logger: slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level}))}
}

// buildInfo returns the version and the date of the commit that this program was built from, as far as the build knows.
func buildInfo() (version string, built time.Time) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", time.Time{}
	}
	version = info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.time" {
			if t, err := time.Parse(time.RFC3339, setting.Value); err == nil {
				built = t
			}
		}
	}
	return version, built
}

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Says which version this is", Example: "  wolkvox-agent version", Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			version, _ := buildInfo()
			if p.output == outputJSON {
				return p.writeJSON(map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintf(p.stdout, "wolkvox-agent %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
