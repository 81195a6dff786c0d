package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (a *app) ledgerProveCommand() *cobra.Command {
	var path, interaction, item, to string
	command := &cobra.Command{
		Use:   "prove TENANT DESTINATION",
		Short: "Write the proof of one recording, which anybody can check offline",
		Long: `Writes a text that shows what became of one recording: that it was sealed, what both sides
signed about it, and up to which head of the ledger. The stand-alone verifier checks it
with the two fingerprints alone. A recording is named by its path at the destination or at
the source, or by its name alone; by its interaction; or by its place in the ledger.
Without --to the proof goes to the standard output, and what it shows to the standard
error.`,
		Example: `  wolkvox-server ledger prove acme nas --path 2026/03/01/call.gsm --to proof.txt
  wolkvox-server ledger prove acme nas --interaction 1795115700.25
  wolkvox-server ledger prove acme nas --item 12/0 --to proof.txt`,
		Args: exactly("TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			wanted, err := wantedItem(path, interaction, item)
			if err != nil {
				return err
			}
			request := &backupv1.ProveLedgerItemRequest{Tenant: args[0], Destination: args[1], Wanted: wanted}
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ProveLedgerItem(ctx, request)
				if err != nil {
					return err
				}
				return a.showProof(res, to)
			})
		},
	}
	command.Flags().StringVar(&path, "path", "", "the recording's `PATH` at the destination or the source, or its name")
	command.Flags().StringVar(&interaction, "interaction", "", "the `ID` of the recording's call or chat")
	command.Flags().StringVar(&item, "item", "", "the recording's place in the ledger, `MANIFEST/INDEX`")
	command.Flags().StringVar(&to, "to", "", "the new `FILE` that the proof goes to")
	return command
}

// wantedItem reads the flags that name a recording, exactly one of which is given.
func wantedItem(path, interaction, item string) (*backupv1.WantedItem, error) {
	var wanted []*backupv1.WantedItem
	if path != "" {
		wanted = append(wanted, &backupv1.WantedItem{Wanted: &backupv1.WantedItem_Path{Path: []byte(path)}})
	}
	if interaction != "" {
		wanted = append(wanted, &backupv1.WantedItem{Wanted: &backupv1.WantedItem_Interaction{Interaction: interaction}})
	}
	if item != "" {
		first, second, ok := strings.Cut(item, "/")
		manifest, err := strconv.ParseInt(first, 10, 64)
		index, err2 := strconv.ParseInt(second, 10, 64)
		if !ok || err != nil || err2 != nil {
			return nil, usage("--item is %q; give MANIFEST/INDEX, such as 12/0", item)
		}
		wanted = append(wanted, &backupv1.WantedItem{Wanted: &backupv1.WantedItem_Place{Place: &backupv1.ItemPlace{Manifest: manifest, Index: index}}})
	}
	if len(wanted) != 1 {
		return nil, usage("name one recording: give --path, --interaction or --item")
	}
	return wanted[0], nil
}

// showProof writes the proof, or the recordings that fit.
func (a *app) showProof(res *backupv1.ProveLedgerItemResponse, to string) error {
	proof := res.GetProof()
	if proof == nil {
		err := a.show(res, func(w *tabwriter.Writer) {
			row(w, "ITEM", "STATE", "PATH")
			for _, item := range res.GetCandidates() {
				row(w, fmt.Sprintf("%d/%d", item.GetManifest(), item.GetIndex()), label(item.GetState(), "ITEM_STATE_"), item.GetPath())
			}
		})
		return errors.Join(err, errors.New("several recordings fit; name one of them with --item"))
	}
	if to != "" {
		if err := writeNew(to, proof.GetText()); err != nil {
			return err
		}
	}
	switch {
	case a.output == outputJSON || to != "":
		return a.show(res, func(w *tabwriter.Writer) { proofTable(w, proof, to) })
	default:
		if _, err := io.WriteString(a.stdout, proof.GetText()); err != nil {
			return err
		}
		w := tabwriter.NewWriter(a.stderr, 0, 8, 2, ' ', 0)
		proofTable(w, proof, to)
		return w.Flush()
	}
}

func proofTable(w *tabwriter.Writer, proof *backupv1.ItemProof, to string) {
	item := proof.GetItem()
	row(w, "recording", item.GetPath())
	row(w, "place", fmt.Sprintf("%d/%d", item.GetManifest(), item.GetIndex()))
	row(w, "state proved", label(proof.GetProvenState(), "ITEM_STATE_"))
	row(w, "state now", label(item.GetState(), "ITEM_STATE_"))
	row(w, "sha-256", fmt.Sprintf("%x", item.GetSha256()))
	row(w, "bytes", item.GetSizeBytes())
	row(w, "agreed head", fmt.Sprintf("%d %x, signed %s", proof.GetAgreed().GetSize(), proof.GetAgreed().GetRoot(), instant(proof.GetAgreedTime())))
	row(w, "server key", proof.GetServerFingerprint())
	row(w, "agent key", proof.GetAgentFingerprint())
	if to != "" {
		row(w, "proof", to)
	}
}

// writeNew writes a file that is not there yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("write the proof: %w", err)
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
