// Package operator is the command line of wolkvox-server. init, serve, restore, authority and the making of credentials and
// keys work on this machine; all other commands call AdminService over the network with an operator's credential, like
// any other caller, and only show what they get.
package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/credential"
)

// Server is what the commands do with a server on this machine.
type Server struct {
	// Init makes what a server needs before it can run, and the first operator's credential file, whose path it returns.
	Init func(c config.Config, operator string, at time.Time) (credentialPath string, err error)
	// CreateCredential makes the credential file of one more operator.
	CreateCredential func(c config.Config, operator, reason, path string, at time.Time) (credential.Credential, error)
	// Restore makes the state of a server from a backup and a secret key, both files, and returns when the backup was made.
	Restore func(c config.Config, from, identity string) (createdAt time.Time, err error)
	// Run serves until ctx ends.
	Run func(ctx context.Context, c config.Config, log *slog.Logger) error
}

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main runs the command that args, without the program's name, ask for, and returns the exit status: 0 for good, 1 for
// failed, 2 for a command that makes no sense. Results go to stdout; all else, and the server's log, to stderr.
func Main(ctx context.Context, server Server, args []string, stdout, stderr io.Writer) int {
	a := &app{server: server, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "wolkvox-server: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(stderr, "see: %s --help\n", command.CommandPath())
		return exitUsage
	}
	return exitFailed
}

// app is one run of the program.
type app struct {
	server         Server
	stdout, stderr io.Writer

	// Flags that all commands have.
	output     outputFormat
	credential string
	address    string
	reason     string
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "wolkvox-server",
		Short: "Run and operate the wolkvox side of the nightly copies",
		Long: `wolkvox-server seals every night what was recorded, serves it to the agents, and keeps
the ledgers that both sides can prove.

init, serve, restore and authority work on this machine. All other commands call a server over
the network with a credential file. That of an operator, which init writes, may do all
of them; those of a tenant's clients and auditors may look at what is the tenant's.`,
		Example: `  wolkvox-server init --config /etc/wolkvox/server.yaml
  wolkvox-server serve --config /etc/wolkvox/server.yaml
  wolkvox-server tenant add acme --time-zone America/Bogota
  wolkvox-server nights acme nas`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	group(root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.Var(&a.output, "output", "how to show results: human or json")
	flags.StringVar(&a.credential, "credential", "", "the credential `FILE` (default $WOLKVOX_CREDENTIAL, or else the first of ~/.config/wolkvox/operator.pem and "+installedCredential+" that exists)")
	flags.StringVar(&a.address, "server", "", "the server's `HOST:PORT` (default: the one in the credential file)")
	flags.StringVar(&a.reason, "reason", "", "why, for the admin log: `TEXT` of at most 500 bytes")
	root.AddCommand(
		a.initCommand(), a.serveCommand(), a.credentialCommand(), a.authorityCommand(),
		a.tenantCommand(), a.sourceCommand(), a.destinationCommand(), a.tokenCommand(), a.agentsCommand(),
		a.sealCommand(), a.nightsCommand(), a.itemsCommand(), a.runCommand(), a.ledgerCommand(), a.versionCommand(),
		a.outagesCommand(), a.extendCommand(),
		a.backupCommand(), a.restoreCommand(), a.alarmsCommand(),
		a.adminLogCommand(),
		a.storageCommand(),
		a.doorKeyCommand(),
		a.nightCommand(),
		a.unrecordedCommand(),
		a.expiringCommand(), a.findCommand(),
	)
	return root
}

// usageError says that the command line makes no sense.
type usageError struct{ error }

// Unwrap returns the error itself.
func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// group makes a command that only holds others.
func group(command *cobra.Command) *cobra.Command {
	command.Args = cobra.ArbitraryArgs
	command.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("%s has no command %q", c.CommandPath(), args[0])
		}
		return usage("%s wants a command", c.CommandPath())
	}
	return command
}

// exactly wants one argument for each name.
func exactly(names ...string) cobra.PositionalArgs { return between(len(names), names...) }

// between wants at least the first arguments of the names, and at most all.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least {
			return usage("%s wants %s", c.CommandPath(), names[len(args)])
		}
		if len(args) > len(names) {
			return usage("%s does not take %q", c.CommandPath(), args[len(names)])
		}
		return nil
	}
}
