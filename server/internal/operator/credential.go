package operator

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/credential"
)

func (a *app) credentialCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "credential",
		Short: "Make, list, revoke and convert the credential files of people and programs",
		Example: `  wolkvox-server credential create maria --config /etc/wolkvox/server.yaml --to maria.pem
  wolkvox-server credential issue auditor acme ben --to ben.pem
  wolkvox-server credential export --to ./pem`,
	})
	command.AddCommand(
		a.credentialCreateCommand(), a.credentialIssueCommand(), a.credentialListCommand(),
		a.credentialRevokeCommand(), a.credentialExportCommand(),
	)
	return command
}

// checkNewFile refuses a file that a command cannot make.
func checkNewFile(path string) error {
	if path == "" {
		return usage("--to is missing: name the file to write")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already, or cannot be looked at; name another file", path)
	}
	return nil
}

func (a *app) credentialCreateCommand() *cobra.Command {
	var configPath, to string
	command := &cobra.Command{
		Use:   "create NAME",
		Short: "Make the credential file of one more operator, or a new one before the old one expires",
		Long: `Makes an operator's credential file, which is good for a year. It is run on the server,
by the user that the server runs as, and needs no running server. The server lists and
revokes it like any other.`,
		Example: `  wolkvox-server credential create maria --config /etc/wolkvox/server.yaml --to maria.pem`,
		Args:    exactly("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkNewFile(to); err != nil {
				return err
			}
			if _, err := wire.FormatReason(a.reason); err != nil {
				return usage("--reason: %w", err)
			}
			c, err := config.Load(configPath)
			if err != nil {
				return err
			}
			made, err := a.server.CreateCredential(c, args[0], strings.TrimSpace(a.reason), to, time.Now())
			if err != nil {
				return err
			}
			return a.showValues(
				value{"credential", "operator's credential", to},
				value{"expire_time", "expires", made.Certificate.Leaf.NotAfter.Format(time.RFC3339)},
			)
		},
	}
	configFlag(command, &configPath)
	command.Flags().StringVar(&to, "to", "", "the `FILE` to write")
	return command
}

func (a *app) credentialExportCommand() *cobra.Command {
	var to string
	command := &cobra.Command{
		Use:   "export",
		Short: "Write the credential as plain PEM files for other programs",
		Long: `Writes the credential file as three plain PEM files, ca.pem, operator.pem and
operator-key.pem, for programs that want them apart.`,
		Example: `  wolkvox-server credential export --to ./pem
  grpcurl -cacert pem/ca.pem -cert pem/operator.pem -key pem/operator-key.pem backup.example.com:443 list`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			if to == "" {
				return usage("--to is missing: name the directory to write to")
			}
			c, err := a.loadCredential()
			if err != nil {
				return err
			}
			if err := durable.CreateDir(to, 0o700); err != nil {
				return fmt.Errorf("write credential: %w", err)
			}
			if err := c.SaveParts(to); err != nil {
				return err
			}
			return a.showValues(
				value{"ca", "authority", filepath.Join(to, credential.AuthorityPart)},
				value{"certificate", "certificate", filepath.Join(to, credential.CertificatePart)},
				value{"key", "key", filepath.Join(to, credential.KeyPart)},
			)
		},
	}
	command.Flags().StringVar(&to, "to", "", "the `DIR` to write to")
	return command
}
