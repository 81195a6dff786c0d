package command

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/test/verifier"
)

func (p *program) evidence() *cobra.Command {
	parent := group(&cobra.Command{
		Use: "evidence", Short: "Hands out what proves the copies to somebody else",
		Example: "  wolkvox-agent evidence export nas --month 2026-11 --to kit",
	})
	request := &backupv1.ExportEvidenceRequest{}
	var directory string
	export := &cobra.Command{
		Use:   "export DESTINATION",
		Short: "Writes an auditor's kit: the evidence of a month, what checks it, and a page that explains it",
		Long: "export writes into a new or empty directory: the ledger, the lists of the month's nights, the heads that both sides signed,\n" +
			"a SHA256SUMS per night for the recordings, the keys' fingerprints, the stand-alone verifier, and README.html, in English\n" +
			"and Spanish. It needs neither wolkvox' server nor the destination. Whoever gets the kit needs the destination's files only\n" +
			"to compare the recordings themselves.",
		Example: "  wolkvox-agent evidence export nas --month 2026-11 --to kit",
		Args:    oneDestination,
		RunE: func(cmd *cobra.Command, args []string) error {
			if request.Month == "" || directory == "" {
				return usageError{errors.New("export needs --month, as in 2026-11, and --to, a new or empty directory")}
			}
			request.Destination = args[0]
			return p.withAgent(cmd.Context(), false, func(ctx context.Context, client backupv1.AgentServiceClient) error {
				return p.exportEvidence(ctx, client, request, directory)
			})
		},
	}
	export.Flags().StringVar(&request.Month, "month", "", "whose nights, YYYY-MM")
	export.Flags().StringVar(&directory, "to", "", "where the files go")
	parent.AddCommand(export)
	return parent
}

// Where the parts of a kit are.
const (
	kitEvidence = "evidence/"
	kitVerifier = "verifier/"
	kitPage     = "README.html"
	kitSums     = "SHA256SUMS"
)

func (p *program) exportEvidence(ctx context.Context, client backupv1.AgentServiceClient, request *backupv1.ExportEvidenceRequest, directory string) (err error) {
	switch entries, err := os.ReadDir(directory); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("export: %w; give a new directory", err)
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty; give a new directory", directory)
	}
	stream, err := client.ExportEvidence(ctx, request)
	if err != nil {
		return err
	}
	message, err := stream.Recv() // before anything is made: it may be refused
	if err != nil {
		return err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	k := &kit{root: root, month: request.GetMonth(), sums: make(map[string]string)}
	for ; err == nil; message, err = stream.Recv() {
		if err := k.piece(message.GetFile()); err != nil {
			return err
		}
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if err := k.finish(); err != nil {
		return err
	}
	if p.output == outputJSON {
		return p.writeJSON(map[string]any{"directory": directory, "file_count": len(k.sums) + 1, "nights": k.nights})
	}
	_, err = fmt.Fprintf(p.stdout, "%d files in %s, of %d nights; begin with %s\n", len(k.sums)+1, directory, len(k.nights), kitPage)
	return err
}

// kit is an auditor's kit that is being written.
type kit struct {
	root   *os.Root
	month  string
	about  []byte            // kit.txt
	nights []string          // with a SHA256SUMS, in order
	sums   map[string]string // the line of each file in SHA256SUMS, by name
	name   string            // of the file that comes
	text   bytes.Buffer      // what came of it; a file of the evidence has at most 1 MiB
}

// piece takes a piece of a file of the evidence.
func (k *kit) piece(file *backupv1.ExportedFile) error {
	if file.GetPath() != k.name {
		if err := k.flush(); err != nil {
			return err
		}
		k.name = file.GetPath()
	}
	k.text.Write(file.GetData())
	return nil
}

// flush writes the file that came.
func (k *kit) flush() error {
	if k.name == "" {
		return nil
	}
	if k.name == "kit.txt" {
		k.about = bytes.Clone(k.text.Bytes())
	}
	if rest, ok := strings.CutPrefix(k.name, "nights/"); ok {
		if night, _, _ := strings.Cut(rest, "/"); !slices.Contains(k.nights, night) {
			k.nights = append(k.nights, night)
		}
	}
	err := k.write(kitEvidence+k.name, k.text.Bytes())
	k.name = ""
	k.text.Reset()
	return err
}

func (k *kit) write(name string, text []byte) error {
	if _, ok := k.sums[name]; ok {
		return fmt.Errorf("the agent named the file %q twice", name)
	}
	k.sums[name] = fmt.Sprintf("%x  %s\n", sha256.Sum256(text), name)
	return appendTo(k.root, name, text)
}

// finish writes what goes with the evidence.
func (k *kit) finish() error {
	if err := k.flush(); err != nil {
		return err
	}
	files, err := verifier.Files()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := k.write(kitVerifier+name, text); err != nil {
			return err
		}
	}
	page, err := k.page()
	if err != nil {
		return err
	}
	if err := k.write(kitPage, page); err != nil {
		return err
	}
	lines := make([]string, 0, len(k.sums))
	for _, line := range k.sums {
		lines = append(lines, line)
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[sha256.Size*2:], b[sha256.Size*2:]) })
	return appendTo(k.root, kitSums, []byte(strings.Join(lines, "")))
}

//go:embed kit.html
var kitTemplate string

// page returns the page that explains the kit.
func (k *kit) page() ([]byte, error) {
	facts := map[string]string{"month": k.month}
	for line := range strings.Lines(string(k.about)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		facts[key] = value
	}
	parsed, err := template.New("kit").Parse(kitTemplate)
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	err = parsed.Execute(&page, map[string]any{
		"Origin": facts["origin"], "Month": facts["month"], "Server": facts["server-fingerprint"], "Agent": facts["agent-fingerprint"], "Nights": k.nights,
	})
	return page.Bytes(), err
}

// writeEvidence says how far the evidence at a destination reaches.
func (p *program) writeEvidence(e *backupv1.EvidenceStatus) {
	if e.GetThroughNight() != "" {
		fmt.Fprintf(p.stdout, "evidence: through night %s\n", e.GetThroughNight())
	}
	if e.GetProblem() != "" {
		fmt.Fprintf(p.stdout, "! evidence is not written further: %s\n", e.GetProblem())
	}
}
