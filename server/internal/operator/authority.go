package operator

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup/server/internal/authority"
	"github.com/wolkvox/backup/server/internal/config"
)

func (a *app) authorityCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "authority",
		Short: "Look at the authority behind all certificates, rotate it, and move its root's key away",
		Long: `The authority has a root, which agents know, and an intermediate, which issues the
certificates. Only rotate and rotate-root need the root's key, so it can be kept
elsewhere. These commands work on the server's state directory and are run on the server,
by the user that it runs as. A running server takes up what they changed when it is
started again.`,
		Example: `  wolkvox-server authority show
  wolkvox-server authority export-root --to /media/safe/root.key
  wolkvox-server authority rotate --root-key /media/safe/root.key`,
	})
	command.AddCommand(
		a.authorityChange("show", "Show the authority's root and intermediate, and when they end",
			"Shows the root that join strings pin, the intermediate that issues, and where the root's key is.", false,
			func(c config.Config, _ string, _ time.Time) (authority.State, error) { return authority.Load(c) }),
		a.authorityChange("rotate", "Make a new intermediate",
			`Makes a new intermediate, which issues from the server's next start on. What the one before
issued stays good until it ends. The authority of an earlier version, which has no
intermediate, gets a new root as well, as with rotate-root.`, true, authority.Rotate),
		a.authorityChange("rotate-root", "Make a new root",
			`Makes a new root, certified by the present one, and a new intermediate. Join strings pin the new
root from the server's next start on. Agents come to trust it when they renew their
certificates, and go on meanwhile; the present root stays trusted until it ends. The new
root's key is in the state directory: export-root moves it away.`, true, authority.RotateRoot),
		a.authorityExportCommand(),
	)
	return command
}

// authorityChange makes a command that shows the authority that change leads to.
func (a *app) authorityChange(name, short, long string, wantsRoot bool, change func(c config.Config, rootKey string, at time.Time) (authority.State, error)) *cobra.Command {
	var configPath, rootKey string
	command := &cobra.Command{
		Use:     name,
		Short:   short,
		Long:    long,
		Example: `  wolkvox-server authority ` + name + ` --config /etc/wolkvox/server.yaml`,
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			c, err := config.Load(configPath)
			if err != nil {
				return err
			}
			state, err := change(c, rootKey, time.Now())
			if err != nil {
				return err
			}
			return a.showAuthority(state, wantsRoot)
		},
	}
	configFlag(command, &configPath)
	if wantsRoot {
		command.Flags().StringVar(&rootKey, "root-key", "", "the `FILE` that the present root's key was moved to")
	}
	return command
}

func (a *app) authorityExportCommand() *cobra.Command {
	var configPath, to string
	command := &cobra.Command{
		Use:   "export-root",
		Short: "Move the root's key out of the state directory",
		Long: `Moves the private key of the root to a file that only its owner can read, and removes it
from the state directory. The server runs without it. Whoever holds it can let anybody
in, and without it the authority cannot be rotated: keep it safe, and twice.`,
		Example: `  wolkvox-server authority export-root --to /media/safe/root.key`,
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			if to == "" {
				return usage("--to is missing: name the file to write")
			}
			c, err := config.Load(configPath)
			if err != nil {
				return err
			}
			state, err := authority.ExportRoot(c, to)
			if err != nil {
				return err
			}
			return a.showAuthority(state, false)
		},
	}
	configFlag(command, &configPath)
	command.Flags().StringVar(&to, "to", "", "the `FILE` to write")
	return command
}

// showAuthority shows an authority; where it was changed, with what is to be done.
func (a *app) showAuthority(state authority.State, changed bool) error {
	pin, root, issuer := state.Pin(), state.Certificate(), state.Issuer()
	rootKey := state.RootKey
	if rootKey == "" {
		rootKey = "not in the state directory"
	}
	values := []value{
		{"pin", "root's pin", hex.EncodeToString(pin[:])},
		{"root_expire_time", "root ends", root.NotAfter.Format(time.RFC3339)},
		{"root_key", "root's key", rootKey},
	}
	var older []string
	for _, root := range state.Roots()[1:] {
		older = append(older, root.NotAfter.Format(time.RFC3339))
	}
	if len(older) > 0 {
		values = append(values, value{"older_roots_expire_time", "older roots trusted until", strings.Join(older, ", ")})
	}
	if state.HasIntermediate() {
		values = append(values, value{"issuer_expire_time", "intermediate ends", issuer.NotAfter.Format(time.RFC3339)})
	} else {
		values = append(values, value{"issuer_expire_time", "intermediate", "none: the root issues; `authority rotate` changes that, once all agents have this version"})
	}
	if changed {
		values = append(values, value{"next", "next", "start the server again"})
	}
	return a.showValues(values...)
}
