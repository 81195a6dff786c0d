package operator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/server/internal/door"
)

// maxPublicKeyBytes bounds a file with a public key: longer ones are something else.
const maxPublicKeyBytes = 8 << 10

func (a *app) doorKeyCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "door-key",
		Short: "Add, list and remove the SSH keys that read a tenant's recordings over SFTP",
		Example: `  wolkvox-server door-key add acme --file ana.pub --comment "Ana, laptop"
  wolkvox-server door-key list --tenant acme`,
	})
	command.AddCommand(a.doorKeyAddCommand(), a.doorKeyListCommand(), a.doorKeyRemoveCommand())
	return command
}

func (a *app) doorKeyAddCommand() *cobra.Command {
	var file, comment string
	var lifetime time.Duration
	command := &cobra.Command{
		Use:   "add TENANT",
		Short: "Let an SSH key read a tenant's recordings",
		Long: `Lets whoever holds an SSH key read a tenant's recordings over SFTP, with the tenant's name as
the user's name. The file is a public key as ssh-keygen writes it (the one that ends in
.pub), Ed25519, ECDSA or RSA of at least 3072 bits. The comment says whose it is; everybody
who may look at the tenant can read it.`,
		Example: `  ssh-keygen -t ed25519 -f ana
  wolkvox-server door-key add acme --file ana.pub --comment "Ana, laptop"
  wolkvox-server door-key add acme --file visit.pub --lifetime 48h`,
		Args: exactly("TENANT"),
		RunE: func(c *cobra.Command, args []string) error {
			if file == "" {
				return usage("--file is missing: name the file with the public key, which ends in .pub")
			}
			text, err := readPublicKey(file)
			if err != nil {
				return err
			}
			key, err := door.ParseKey(text)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			if comment == "" {
				comment = key.Comment
			}
			request := &backupv1.AddDoorKeyRequest{
				Tenant: args[0], Fingerprint: key.Fingerprint, PublicKey: key.Text, Comment: comment, Lifetime: durationpb.New(lifetime),
			}
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.AddDoorKey(ctx, request)
				if err != nil {
					return err
				}
				return a.show(res.GetKey(), func(w *tabwriter.Writer) { doorKeyTable(w, res.GetKey()) })
			})
		},
	}
	command.Flags().StringVar(&file, "file", "", "the `FILE` with the public key (required)")
	command.Flags().StringVar(&comment, "comment", "", "whose it is: `TEXT` of at most 100 bytes (default: the comment in the file)")
	command.Flags().DurationVar(&lifetime, "lifetime", 365*24*time.Hour, "for how long it is let in, at most 8760h")
	return command
}

func readPublicKey(path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxPublicKeyBytes) {
		err = errors.New("it is no file with a public key")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no file %s; ssh-keygen makes a pair of keys, and writes the public one into the file that ends in .pub", path)
	}
	if err != nil {
		return "", fmt.Errorf("read the public key %s: %w", path, err)
	}
	return string(text), nil
}

func (a *app) doorKeyListCommand() *cobra.Command {
	var tenant string
	command := &cobra.Command{
		Use:   "list",
		Short: "List the keys, and the fingerprint by which SFTP clients know the server",
		Example: `  wolkvox-server door-key list
  wolkvox-server door-key list --tenant acme`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ListDoorKeys(ctx, &backupv1.ListDoorKeysRequest{Tenant: tenant})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) {
					doorKeyTable(w, res.GetKeys()...)
					host := "this server has no door: its configuration has no door.listen"
					if res.GetHostFingerprint() != "" {
						host = res.GetHostFingerprint()
					}
					w.Flush()
					fmt.Fprintf(w, "\nthe server's own key: %s\n", host)
				})
			})
		},
	}
	tenantFlag(command, &tenant)
	return command
}

func (a *app) doorKeyRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "remove TENANT FINGERPRINT",
		Short:   "Let a key in no more, and end its connections",
		Example: `  wolkvox-server door-key remove acme SHA256:xCCVShuPGa2Fq4dWX9KEXZkYSpFGPa5rTLHBSDyU8pk`,
		Args:    exactly("TENANT", "FINGERPRINT"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.RemoveDoorKey(ctx, &backupv1.RemoveDoorKeyRequest{Tenant: args[0], Fingerprint: args[1]})
				if err != nil {
					return err
				}
				return a.show(res.GetKey(), func(w *tabwriter.Writer) { doorKeyTable(w, res.GetKey()) })
			})
		},
	}
}

func doorKeyTable(w *tabwriter.Writer, keys ...*backupv1.DoorKey) {
	row(w, "TENANT", "FINGERPRINT", "COMMENT", "ADDED BY", "EXPIRES")
	for _, k := range keys {
		row(w, k.GetTenant(), k.GetFingerprint(), k.GetComment(), k.GetAddedBy(), instant(k.GetExpireTime()))
	}
}
