package operator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/backup"
	"github.com/wolkvox/backup/server/internal/config"
)

func (a *app) backupCommand() *cobra.Command {
	var recipient, to string
	command := &cobra.Command{
		Use:   "backup",
		Short: "Write a backup of what the agents cannot give back",
		Long: `Has the server, which goes on meanwhile, give a backup of its authority, log keys,
tenants, sources, destinations, agents and last heads, encrypted to a key of yours, and
writes it to a file; a file of that name is replaced once the new one is whole. The
ledgers are not in it: they come back from the agents. The key is made with
` + "`backup keygen`" + `, and its secret half belongs neither on the server nor beside the backups.`,
		Example: `  wolkvox-server backup keygen --to /media/safe/wolkvox-backup.key
  wolkvox-server backup --recipient age1… --to /srv/backups/wolkvox-server.age`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%s has no command %q", c.CommandPath(), args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case recipient == "":
				return usage("--recipient is missing: give the age1… that `backup keygen` shows")
			case to == "":
				return usage("--to is missing: name the file to write")
			}
			var data bytes.Buffer
			err := a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				stream, err := admin.CreateBackup(ctx, &backupv1.CreateBackupRequest{Recipient: recipient})
				if err != nil {
					return err
				}
				return receive(stream.Recv, &data)
			})
			if err != nil {
				return err
			}
			sizeBytes := data.Len()
			if err := durable.WriteFile(to, data.Bytes(), 0o600); err != nil {
				return fmt.Errorf("write the backup: %w", err)
			}
			return a.showValues(value{"backup", "backup", to}, value{"size_bytes", "bytes", fmt.Sprint(sizeBytes)})
		},
	}
	command.Flags().StringVar(&recipient, "recipient", "", "the age X25519 `RECIPIENT` that can read the backup (required)")
	command.Flags().StringVar(&to, "to", "", "the `FILE` to write (required)")
	command.AddCommand(a.backupKeygenCommand())
	return command
}

// receive collects a backup, of which nothing counts before its end.
func receive(recv func() (*backupv1.CreateBackupResponse, error), data *bytes.Buffer) error {
	for {
		piece, err := recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data.Write(piece.GetData()) // never fails (package bytes)
	}
}

func (a *app) backupKeygenCommand() *cobra.Command {
	var to string
	command := &cobra.Command{
		Use:   "keygen",
		Short: "Make the key that backups are encrypted to",
		Long: `Makes an age X25519 key (age-encryption.org), writes its secret half to a file that only
you can read, and shows the recipient that backups are encrypted to. Who has the file
can read every backup; who has lost it, none.`,
		Example: `  wolkvox-server backup keygen --to wolkvox-backup.key`,
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			if to == "" {
				return usage("--to is missing: name the file to write")
			}
			if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there already, or cannot be looked at; name another file", to)
			}
			key, recipient, err := backup.GenerateKey(time.Now())
			if err != nil {
				return err
			}
			if err := identity.WritePrivate(to, key); err != nil {
				return err
			}
			return a.showValues(value{"identity", "secret key", to}, value{"recipient", "recipient", recipient})
		},
	}
	command.Flags().StringVar(&to, "to", "", "the `FILE` to write (required)")
	return command
}

func (a *app) restoreCommand() *cobra.Command {
	var configPath, from, key string
	command := &cobra.Command{
		Use:   "restore",
		Short: "Make the state of a lost server from its backup",
		Long: `Makes the state_dir of the configuration from a backup, with the secret half of the key
that it was encrypted to. The directory has to be empty. Run it as the user that serves.
The next serve then recovers every ledger from its agent, and seals and closes nothing
for a destination before that.`,
		Example: `  wolkvox-server restore --config /etc/wolkvox/server.yaml --from wolkvox-server.age --identity wolkvox-backup.key
  wolkvox-server serve --config /etc/wolkvox/server.yaml --recover`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			switch {
			case from == "":
				return usage("--from is missing: name the backup")
			case key == "":
				return usage("--identity is missing: name the file that `backup keygen` wrote")
			}
			c, err := config.Load(configPath)
			if err != nil {
				return err
			}
			made, err := a.server.Restore(c, from, key)
			if err != nil {
				return err
			}
			return a.showValues(
				value{"state_dir", "state directory", c.StateDir},
				value{"backup_time", "as it was at", made.Format(time.RFC3339)},
			)
		},
	}
	configFlag(command, &configPath)
	command.Flags().StringVar(&from, "from", "", "the `FILE` with the backup (required)")
	command.Flags().StringVar(&key, "identity", "", "the `FILE` with the secret key (required)")
	return command
}
