package operator

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup/server/internal/config"
)

const defaultConfig = "/etc/wolkvox/server.yaml"

// configFlag adds --config.
func configFlag(command *cobra.Command, path *string) {
	command.Flags().StringVar(path, "config", defaultConfig, "the server's configuration `FILE`")
}

func (a *app) initCommand() *cobra.Command {
	var configPath, operator string
	command := &cobra.Command{
		Use:   "init",
		Short: "Make the server's authority, its certificate and the first operator's credential",
		Long: `Makes what the server needs once, below the state_dir of its configuration: the
authority that agents pin, the server's certificate, and the credential file of the
first operator. An init that was interrupted is simply run again; one that was
finished is not repeated.`,
		Example: `  wolkvox-server init --config /etc/wolkvox/server.yaml
  # with, in /etc/wolkvox/server.yaml:
  #   state_dir: /var/lib/wolkvox-server
  #   names: [backup.example.com]`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			c, err := config.Load(configPath)
			if err != nil {
				return err
			}
			path, err := a.server.Init(c, operator, time.Now())
			if err != nil {
				return err
			}
			return a.showValues(
				value{"state_dir", "state directory", c.StateDir},
				value{"credential", "operator's credential", path},
			)
		},
	}
	configFlag(command, &configPath)
	command.Flags().StringVar(&operator, "operator", "admin", "the first operator's `NAME`")
	return command
}

func (a *app) serveCommand() *cobra.Command {
	var configPath string
	var fromAgents bool
	command := &cobra.Command{
		Use:   "serve",
		Short: "Run the server until it is told to stop",
		Long: `Runs the server in the foreground, until SIGINT or SIGTERM. It writes its log to
standard error, and the address at which it can be called to the file address in its
state_dir.

With --recover, after the state_dir was put back to an earlier copy, every ledger is
recovered from its agent, and nothing is sealed or closed for a destination before that.
It has to be said once: a later start without it goes on recovering.`,
		Example: `  wolkvox-server serve --config /etc/wolkvox/server.yaml
  wolkvox-server serve --config /etc/wolkvox/server.yaml --recover`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := config.Load(configPath)
			if err != nil {
				return err
			}
			loaded.Recover = fromAgents
			log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: loaded.LogLevel}))
			return a.server.Run(c.Context(), loaded, log)
		},
	}
	configFlag(command, &configPath)
	command.Flags().BoolVar(&fromAgents, "recover", false, "recover every ledger from the agents first: the state was put back to an earlier copy")
	return command
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program",
		Example: `  wolkvox-server version --output json`,
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			version := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
				version = info.Main.Version
			}
			return a.showValues(
				value{"version", "wolkvox-server", version},
				value{"go_version", "built with", runtime.Version()},
				value{"platform", "for", runtime.GOOS + "/" + runtime.GOARCH},
			)
		},
	}
}

// value is one line of what a command has to say that no server was asked for.
type value struct{ key, label, text string }

func (a *app) showValues(values ...value) error {
	if a.output == outputJSON {
		object := []byte("{")
		for i, v := range values {
			if i > 0 {
				object = append(object, ',')
			}
			text, err := json.Marshal(v.text)
			if err != nil {
				return err
			}
			object = fmt.Appendf(object, "\n  %q: %s", v.key, text)
		}
		_, err := a.stdout.Write(append(object, "\n}\n"...))
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for _, v := range values {
		row(w, v.label, v.text)
	}
	return w.Flush()
}
