package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (p *program) ledger() *cobra.Command {
	parent := group(&cobra.Command{
		Use: "ledger", Short: "Checks and exports this agent's copy of a ledger",
		Example: "  wolkvox-agent ledger verify\n  wolkvox-agent ledger export --to evidence",
	})
	var destination, directory string
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Folds a ledger from nothing and checks every signature and tree",
		Long: "verify reads every entry and every line of every manifest again, checks every signature, hash and rule, and\n" +
			"compares the result with what is kept. It exits with 1 if anything is not as it should be.",
		Example: "  wolkvox-agent ledger verify --destination nas", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.verifyLedger(ctx, client, destination)
			})
		},
	}
	export := &cobra.Command{
		Use:   "export",
		Short: "Writes a ledger, its manifests and the agreed head as plain files",
		Long: "export writes ledger.txt, manifests/N.txt and head.txt, as proto/README.md describes them, into a new or empty\n" +
			"directory. The stand-alone verifier reads them without trusting either side.",
		Example: "  wolkvox-agent ledger export --destination nas --to evidence", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if directory == "" {
				return usageError{errors.New("export needs --to, a new or empty directory")}
			}
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.exportLedger(ctx, client, destination, directory)
			})
		},
	}
	for _, cmd := range []*cobra.Command{verify, export} {
		cmd.Flags().StringVar(&destination, "destination", "", "the destination; needed where there are several")
	}
	export.Flags().StringVar(&directory, "to", "", "where the files go")
	parent.AddCommand(verify, export)
	return parent
}

// only returns the destination that a command is about: the named one, or the only one.
func only(ctx context.Context, client backupv1.AgentServiceClient, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	status, err := client.GetStatus(ctx, &backupv1.GetStatusRequest{})
	if err != nil {
		return "", err
	}
	if all := status.GetDestinations(); len(all) == 1 {
		return all[0].GetName(), nil
	}
	return "", usageError{errors.New("there are several destinations; name one with --destination")}
}

func (p *program) verifyLedger(ctx context.Context, client backupv1.AgentServiceClient, destination string) error {
	name, err := only(ctx, client, destination)
	if err != nil {
		return err
	}
	response, err := client.VerifyAgentLedger(ctx, &backupv1.VerifyAgentLedgerRequest{Destination: name})
	if err != nil {
		return err
	}
	report := response.GetReport()
	if p.output == outputJSON {
		err = p.writeMessage(report)
	} else {
		c := report.GetCounts()
		fmt.Fprintf(p.stdout, "%s\nentries and root: %s\nagreed head:      %s\n", report.GetOrigin(), headText(report.GetPosition()), headText(report.GetAgreed()))
		_, err = fmt.Fprintf(p.stdout, "recordings: %d announced = %d confirmed + %d pending + %d expired + %d waived + %d released + %d withdrawn + %d forgotten\n",
			report.GetItemCount(), c.GetConfirmedCount(), c.GetPendingCount(), c.GetExpiredCount(), c.GetWaivedCount(), c.GetReleasedCount(), c.GetWithdrawnCount(), c.GetForgottenCount())
		for _, problem := range report.GetProblems() {
			fmt.Fprintf(p.stdout, "! %s\n", problem)
		}
		if len(report.GetProblems()) == 0 {
			fmt.Fprintln(p.stdout, "every signature, tree and state is as it should be")
		}
	}
	if err != nil {
		return err
	}
	if len(report.GetProblems()) > 0 {
		return errBad
	}
	return nil
}

func (p *program) exportLedger(ctx context.Context, client backupv1.AgentServiceClient, destination, directory string) (err error) {
	name, err := only(ctx, client, destination)
	if err != nil {
		return err
	}
	switch entries, err := os.ReadDir(directory); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("export: %w; give a new directory", err)
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty; give a new directory", directory)
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	stream, err := client.ExportAgentLedger(ctx, &backupv1.ExportAgentLedgerRequest{Destination: name})
	if err != nil {
		return err
	}
	files := 0
	for path := ""; ; {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		piece := message.GetFile()
		if piece.GetPath() != path {
			path = piece.GetPath()
			files++
		}
		if err := appendTo(root, path, piece.GetData()); err != nil {
			return err
		}
	}
	if p.output == outputJSON {
		return p.writeJSON(map[string]any{"directory": directory, "file_count": files})
	}
	_, err = fmt.Fprintf(p.stdout, "%d files in %s\n", files, directory)
	return err
}

func appendTo(root *os.Root, path string, data []byte) error {
	local, err := filepath.Localize(path)
	if err != nil {
		return fmt.Errorf("the agent named a file %q: %w", path, err)
	}
	if err := root.MkdirAll(filepath.Dir(local), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(local, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}
