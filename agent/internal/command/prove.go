package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup/agent/internal/config"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// proveFlags is what stands behind `prove`.
type proveFlags struct{ destination, interaction, item, to string }

func (p *program) prove() *cobra.Command {
	var flags proveFlags
	cmd := &cobra.Command{
		Use:   "prove [FILE]",
		Short: "Writes the proof of one recording, which anybody can check without this program",
		Long: "prove writes a text that shows what became of one recording: that it was announced, what both sides signed about\n" +
			"it, and up to which head of the ledger. test/verifier checks it with the two fingerprints alone. FILE is a\n" +
			"recording's path at the destination, or its name alone. If its file lies on this machine, it is read and compared.\n" +
			"Without --to the proof goes to the standard output, and what it shows to the standard error.",
		Example: "  wolkvox-agent prove /mnt/nas/recordings/2026/03/01/call.gsm --to proof.txt\n" +
			"  wolkvox-agent prove --interaction 1795115700.25\n  wolkvox-agent prove --destination nas --item 12/0 --to proof.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			named := len(args)
			for _, flag := range []string{flags.interaction, flags.item} {
				if flag != "" {
					named++
				}
			}
			if named != 1 {
				return usageError{errors.New("name one recording: give a FILE, or --interaction, or --item")}
			}
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			c, err := p.load()
			if err != nil {
				return err
			}
			wanted, err := flags.wanted(c, file)
			if err != nil {
				return err
			}
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.proveItem(ctx, client, c, flags, file, wanted)
			})
		},
	}
	cmd.Flags().StringVar(&flags.destination, "destination", "", "the destination; needed where there are several and FILE lies in none")
	cmd.Flags().StringVar(&flags.interaction, "interaction", "", "the identifier of the recording's call or chat")
	cmd.Flags().StringVar(&flags.item, "item", "", "the recording's place in the ledger, MANIFEST/INDEX")
	cmd.Flags().StringVar(&flags.to, "to", "", "the new file that the proof goes to")
	return cmd
}

// wanted returns what to ask for. Of a file below the directory of a destination it is the path there, and the destination
// is that one where none is named.
func (f *proveFlags) wanted(c config.Config, file string) (*backupv1.WantedItem, error) {
	switch {
	case f.interaction != "":
		return &backupv1.WantedItem{Wanted: &backupv1.WantedItem_Interaction{Interaction: f.interaction}}, nil
	case f.item != "":
		first, second, ok := strings.Cut(f.item, "/")
		manifest, err := strconv.ParseInt(first, 10, 64)
		index, err2 := strconv.ParseInt(second, 10, 64)
		if !ok || err != nil || err2 != nil {
			return nil, usageError{fmt.Errorf("--item is %q; give MANIFEST/INDEX, such as 12/0", f.item)}
		}
		return &backupv1.WantedItem{Wanted: &backupv1.WantedItem_Place{Place: &backupv1.ItemPlace{Manifest: manifest, Index: index}}}, nil
	}
	path := filepath.ToSlash(file)
	for _, d := range c.Destinations {
		if below, ok := pathBelow(d.Directory, file); ok && (f.destination == "" || f.destination == d.Name) {
			f.destination, path = d.Name, below
			break
		}
	}
	return &backupv1.WantedItem{Wanted: &backupv1.WantedItem_Path{Path: []byte(path)}}, nil
}

// pathBelow returns the path, with slashes, of a file of this machine below a directory; false where it is not there.
func pathBelow(directory, file string) (string, bool) {
	if directory == "" {
		return "", false
	}
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return "", false
	}
	if real, err = filepath.Abs(real); err != nil {
		return "", false
	}
	if resolved, err := filepath.EvalSymlinks(directory); err == nil {
		directory = resolved
	}
	below, err := filepath.Rel(directory, real)
	if err != nil || !filepath.IsLocal(below) {
		return "", false
	}
	return filepath.ToSlash(below), true
}

func (p *program) proveItem(ctx context.Context, client backupv1.AgentServiceClient, c config.Config, flags proveFlags, file string, wanted *backupv1.WantedItem) error {
	name, err := only(ctx, client, flags.destination)
	if err != nil {
		return err
	}
	response, err := client.ProveItem(ctx, &backupv1.ProveItemRequest{Destination: name, Wanted: wanted})
	if err != nil {
		return err
	}
	proof := response.GetProof()
	if proof == nil {
		return p.writeCandidates(response)
	}
	compared := compareFile(localFile(c, name, file, proof.GetItem().GetPath()), proof.GetItem())
	if flags.to != "" {
		if err := writeNew(flags.to, proof.GetText()); err != nil {
			return err
		}
	}
	switch {
	case p.output == outputJSON:
		err = p.writeProofJSON(response, compared)
	case flags.to != "":
		err = writeProof(p.stdout, proof, compared, flags.to)
	default:
		_, err = io.WriteString(p.stdout, proof.GetText())
		err = errors.Join(err, writeProof(p.stderr, proof, compared, ""))
	}
	if err != nil {
		return err
	}
	if compared != nil && !compared.Equal {
		return errBad
	}
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write the proof: %w", err)
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// writeCandidates lists the recordings that fit.
func (p *program) writeCandidates(response *backupv1.ProveItemResponse) error {
	if p.output == outputJSON {
		return errors.Join(p.writeMessage(response), errBad)
	}
	fmt.Fprintln(p.stdout, "several recordings fit; name one of them with --item:")
	for _, item := range response.GetCandidates() {
		fmt.Fprintf(p.stdout, "  %d/%d  %s  %s\n", item.GetManifest(), item.GetIndex(), stateText(item.GetState()), item.GetPath())
	}
	return errBad
}

func (p *program) writeProofJSON(response *backupv1.ProveItemResponse, compared *comparedFile) error {
	text, err := wire.IndentedJSON(response)
	if err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	if compared != nil {
		if fields["file"], err = json.Marshal(compared); err != nil {
			return err
		}
	}
	return p.writeJSON(fields)
}

// writeProof says for people what a proof shows.
func writeProof(w io.Writer, proof *backupv1.ItemProof, compared *comparedFile, to string) error {
	item := proof.GetItem()
	proven, now := stateText(proof.GetProvenState()), stateText(item.GetState())
	if proven != now {
		proven += "; " + now + " since, which the next agreed head will prove"
	}
	fmt.Fprintf(w, "recording:   %s\nplace:       %d/%d\nstate:       %s\n", item.GetPath(), item.GetManifest(), item.GetIndex(), proven)
	fmt.Fprintf(w, "SHA-256:     %x, %d bytes\n", item.GetSha256(), item.GetSizeBytes())
	fmt.Fprintf(w, "agreed head: %s, signed %s\n", headText(proof.GetAgreed()), clock(proof.GetAgreedTime()))
	fmt.Fprintf(w, "server key:  %s\nagent key:   %s\n", proof.GetServerFingerprint(), proof.GetAgentFingerprint())
	if compared != nil {
		fmt.Fprintf(w, "file:        %s %s\n", compared.Path, compared)
	}
	if to != "" {
		fmt.Fprintf(w, "proof:       %s\n", to)
	}
	_, err := fmt.Fprintln(w, "Compare both keys with the fingerprints that were written down when enrolling.")
	return err
}

func stateText(s backupv1.ItemState) string {
	state, err := wire.ParseState(s)
	if err != nil {
		return "unknown"
	}
	return state.String()
}
