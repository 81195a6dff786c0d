package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
)

func (a *app) ledgerCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "ledger",
		Short: "Verify, export, prove, restart and rekey the ledger of a destination",
		Example: `  wolkvox-server ledger verify acme nas
  wolkvox-server ledger export acme nas --to ./acme-nas`,
	})
	command.AddCommand(a.ledgerVerifyCommand(), a.ledgerExportCommand(), a.ledgerProveCommand(), a.ledgerRestartCommand(), a.ledgerRekeyCommand())
	return command
}

func (a *app) ledgerVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify TENANT DESTINATION",
		Short: "Fold the server's ledger from nothing and check all of it",
		Long: `Has the server fold a ledger from nothing, check every signature and tree, and compare
the outcome with what it keeps. The exit status is 1 if anything is wrong. A ledger that
was restarted is named by its origin in place of DESTINATION.`,
		Example: `  wolkvox-server ledger verify acme nas`,
		Args:    exactly("TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.VerifyLedger(ctx, &backupv1.VerifyLedgerRequest{Tenant: args[0], Destination: args[1]})
				if err != nil {
					return err
				}
				report := res.GetReport()
				if err := a.show(report, func(w *tabwriter.Writer) { reportTable(w, report) }); err != nil {
					return err
				}
				if n := len(report.GetProblems()); n > 0 {
					return fmt.Errorf("the ledger of %s/%s has %d problems", args[0], args[1], n)
				}
				return nil
			})
		},
	}
}

func reportTable(w *tabwriter.Writer, r *backupv1.LedgerReport) {
	row(w, "ledger", r.GetOrigin())
	row(w, "entries", r.GetPosition().GetSize())
	row(w, "root", fmt.Sprintf("%x", r.GetPosition().GetRoot()))
	agreed := "nothing yet"
	if r.GetAgreed() != nil {
		agreed = fmt.Sprintf("%d entries, root %x", r.GetAgreed().GetSize(), r.GetAgreed().GetRoot())
	}
	row(w, "agreed", agreed)
	c := r.GetCounts()
	row(w, "recordings", fmt.Sprintf("%d: %d confirmed, %d pending, %d expired, %d waived, %d released, %d withdrawn, %d forgotten",
		r.GetItemCount(), c.GetConfirmedCount(), c.GetPendingCount(), c.GetExpiredCount(), c.GetWaivedCount(), c.GetReleasedCount(),
		c.GetWithdrawnCount(), c.GetForgottenCount()))
	for _, problem := range r.GetProblems() {
		row(w, "problem", problem)
	}
	if len(r.GetProblems()) == 0 {
		row(w, "problems", "none")
	}
}

func (a *app) ledgerExportCommand() *cobra.Command {
	var to string
	command := &cobra.Command{
		Use:   "export TENANT DESTINATION",
		Short: "Write a ledger as plain files for the stand-alone verifier",
		Long: `Writes a ledger, its manifests and its agreed head as plain files, for the stand-alone
verifier or anybody else's. The directory must be new or empty. A ledger that was
restarted is named by its origin in place of DESTINATION.`,
		Example: `  wolkvox-server ledger export acme nas --to ./acme-nas`,
		Args:    exactly("TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			if to == "" {
				return usage("--to is missing: name the directory to write to")
			}
			request := &backupv1.ExportLedgerRequest{Tenant: args[0], Destination: args[1]}
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				stream, err := admin.ExportLedger(ctx, request)
				if err != nil {
					return err
				}
				if err := writeExport(stream.Recv, to); err != nil {
					return err
				}
				return a.showValues(value{"directory", "exported to", to})
			})
		},
	}
	command.Flags().StringVar(&to, "to", "", "the new or empty `DIR` to write to (required)")
	return command
}

// writeExport writes the files that recv returns the pieces of, until io.EOF, into a new or empty directory.
func writeExport(recv func() (*backupv1.ExportLedgerResponse, error), dir string) (err error) {
	var root *os.Root
	var file *os.File
	path := ""
	defer func() {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
		if root != nil {
			err = errors.Join(err, root.Close())
		}
	}()
	for {
		res, err := recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if root == nil { // the server has something to export: only now is the directory made
			if root, err = emptyDir(dir); err != nil {
				return err
			}
		}
		if piece := res.GetFile(); file == nil || piece.GetPath() != path {
			if file != nil {
				if err := file.Close(); err != nil {
					return fmt.Errorf("export: %w", err)
				}
				file = nil
			}
			path = piece.GetPath()
			if file, err = createExported(root, path); err != nil {
				return fmt.Errorf("export: %w", err)
			}
		}
		if _, err := file.Write(res.GetFile().GetData()); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
}

// emptyDir makes the directory where it is missing, and refuses one that holds anything.
func emptyDir(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("export: %s is not empty; name a new directory", dir)
	}
	return os.OpenRoot(dir)
}

// createExported makes one file of the export; the server names it.
func createExported(root *os.Root, path string) (*os.File, error) {
	local, err := filepath.Localize(path)
	if err != nil {
		return nil, fmt.Errorf("the server names a file %q: %w", path, err)
	}
	if err := root.MkdirAll(filepath.Dir(local), 0o777); err != nil {
		return nil, err
	}
	return root.OpenFile(local, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
}

// originDestination returns the destination's name in an origin, and the origin itself where it has another form.
func originDestination(origin string) string {
	if o, err := ledger.ParseOrigin(origin); err == nil {
		return o.Destination()
	}
	return strings.TrimSpace(origin)
}
