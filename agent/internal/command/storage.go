package command

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup/agent/internal/enroll"
	"github.com/wolkvox/backup/agent/internal/uplink"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/download"
	"github.com/wolkvox/backup/internal/identity"
)

func (p *program) storage() *cobra.Command {
	var destination, to string
	var recursive bool
	parent := group(&cobra.Command{
		Use: "storage", Short: "Shows what is in wolkvox Storage, and gets it back",
		Example: "  wolkvox-agent storage ls\n  wolkvox-agent storage get calls/2026/a.gsm --to /srv/restored",
	})
	ls := &cobra.Command{
		Use:   "ls [FOLDER]",
		Short: "Lists what is stored, with sizes",
		Long: "ls asks wolkvox' server, with the agent's own certificate, what is stored in a folder, or in all of the destination,\n" +
			"and in all below it.",
		Example: "  wolkvox-agent storage ls\n  wolkvox-agent storage ls calls/2026 --output json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%s takes one folder at most", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStorage(cmd.Context(), destination, func(ctx context.Context, place download.Place) error {
				return p.listStorage(ctx, place, append(args, "")[0])
			})
		},
	}
	get := &cobra.Command{
		Use:   "get PATH",
		Short: "Gets a recording, or a folder of them, back from wolkvox Storage",
		Long: "get fetches one file. It has its name only once all of it came and has the SHA-256 that was sealed; until then it is\n" +
			"PATH.wolkvox-partial, and the next get goes on where that one ends. A file that is there already is never replaced.\n\n" +
			"With --recursive PATH is a folder, and all in it and below it comes; without a PATH everything does. Started again,\n" +
			"it goes on.",
		Example: "  wolkvox-agent storage get calls/2026/a.gsm --to /srv/restored\n  wolkvox-agent storage get calls/2026 --recursive --to /srv/restored",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 0 && !recursive {
				return usageError{fmt.Errorf("%s takes one path, as storage ls shows it", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStorage(cmd.Context(), destination, func(ctx context.Context, place download.Place) error {
				if recursive {
					return p.getFolder(ctx, place, append(args, "")[0], to)
				}
				got, err := place.Get(ctx, args[0], to)
				if err != nil {
					return err
				}
				if p.output == outputJSON {
					return p.writeJSON(got.Told())
				}
				_, err = fmt.Fprintln(p.stdout, got.Sentence())
				return err
			})
		},
	}
	get.Flags().StringVar(&to, "to", ".", "the directory below which the file gets its path")
	get.Flags().BoolVarP(&recursive, "recursive", "r", false, "get all of a folder")
	for _, cmd := range []*cobra.Command{ls, get} {
		cmd.Flags().StringVar(&destination, "destination", "", "the destination, where several are in wolkvox Storage")
	}
	parent.AddCommand(ls, get)
	return parent
}

// withStorage connects to the server as the agent. The running service is not needed for it, nor disturbed.
func (p *program) withStorage(ctx context.Context, name string, do func(ctx context.Context, place download.Place) error) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	if name == "" {
		for _, d := range c.Destinations {
			if d.Wolkvox == nil {
				continue
			}
			if name != "" {
				return usageError{fmt.Errorf("%s and %s are in wolkvox Storage; name one with --destination", name, d.Name)}
			}
			name = d.Name
		}
		if name == "" {
			return fmt.Errorf("no destination of the configuration %s is in wolkvox Storage", p.configPath)
		}
	}
	who, err := enroll.Load(c.StateDir)
	if err != nil {
		return err
	}
	known, ok := who.Destinations[name]
	if !ok {
		return fmt.Errorf("this agent is not enrolled for a destination %q", name)
	}
	_, built := buildInfo()
	judged := identity.JudgedTime(time.Time{}, built, 0)
	config, err := who.TLSConfig(func() time.Time { return judged })
	if err != nil {
		return err
	}
	conn, err := uplink.Dial(who.Server, c.Proxy, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	return do(ctx, download.Place{Service: backupv1.NewStorageServiceClient(conn), Tenant: known.Origin.Tenant(), Destination: known.Origin.Destination()})
}

func (p *program) getFolder(ctx context.Context, place download.Place, folder, to string) error {
	total, err := place.GetFolder(ctx, folder, to, func(name string, got download.Got, err error) error {
		switch {
		case p.output == outputJSON && err != nil:
			return p.writeJSON(download.Failure{Name: name, Error: err.Error()})
		case p.output == outputJSON:
			return p.writeJSON(got.Told())
		case err != nil:
			_, err = fmt.Fprintln(p.stdout, err)
			return err
		}
		_, err = fmt.Fprintln(p.stdout, got.Sentence())
		return err
	})
	if p.output != outputJSON {
		fmt.Fprintln(p.stdout, total.Sentence())
	}
	if err != nil {
		return fmt.Errorf("%w; start it again to go on", err)
	}
	return total.Err()
}

func (p *program) listStorage(ctx context.Context, place download.Place, folder string) error {
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	for file, err := range place.List(ctx, folder) {
		if err != nil {
			return err
		}
		if p.output == outputJSON {
			if err := p.writeMessage(file); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%q\n", bytesText(file.GetSizeBytes()), clock(file.GetStoredTime()), file.GetName())
	}
	return w.Flush()
}
