package command

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/wolkvox/backup/agent/internal/enroll"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
)

func (p *program) enroll() *cobra.Command {
	var joinFile string
	cmd := &cobra.Command{
		Use:   "enroll [JOIN]",
		Short: "Makes this machine the agent of a destination, with the join string from wolkvox",
		Long: "enroll makes keys on this machine, redeems the join string with the server, and prints two fingerprints.\n" +
			"Write both down: with them anybody can check proofs without trusting either side. The join string is a\n" +
			"secret; give it in a file or on standard input (JOIN is -) where others can see the command line.",
		Example: "  wolkvox-agent enroll --join-file join.txt\n  wolkvox-agent enroll - < join.txt",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1) == (joinFile != "") {
				return usageError{errors.New("enroll takes the join string as its one argument (- for standard input), or --join-file")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := p.joinString(args, joinFile)
			if err != nil {
				return err
			}
			return p.redeem(cmd.Context(), text)
		},
	}
	cmd.Flags().StringVar(&joinFile, "join-file", "", "a file that holds the join string")
	return cmd
}

// joinString returns the join string from where the command line says it is.
func (p *program) joinString(args []string, file string) (string, error) {
	var text []byte
	var err error
	switch {
	case file != "":
		text, err = os.ReadFile(file)
	case args[0] == "-":
		text, err = io.ReadAll(io.LimitReader(p.stdin, 64<<10))
	default:
		text = []byte(args[0])
	}
	if err != nil {
		return "", fmt.Errorf("read the join string: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func (p *program) redeem(ctx context.Context, text string) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	version, built := buildInfo()
	result, err := enroll.Enroll(ctx, enroll.Options{
		StateDir: c.StateDir, Join: text, HostName: host, Version: version, Platform: runtime.GOOS + "/" + runtime.GOARCH,
		At: identity.JudgedTime(time.Time{}, built, 0),
		Replacing: func(old, new ledger.Origin) {
			fmt.Fprintf(p.stderr, "This agent serves destination %s in the log %s. The join string is for a new log of it, %s, which takes its place; the old identity is kept.\n",
				new.Destination(), old, new)
		},
		Dial: func(_ context.Context, address string, config *tls.Config) (*grpc.ClientConn, error) {
			return uplink.Dial(address, c.Proxy, config)
		},
	})
	if err != nil {
		return err
	}
	if p.output == outputJSON {
		return p.writeJSON(map[string]string{
			"agent": result.Agent, "origin": string(result.Origin), "server_fingerprint": result.ServerFingerprint,
			"agent_fingerprint": result.AgentFingerprint, "certificate_expire_time": result.CertificateEnd.UTC().Format(time.RFC3339),
			"set_aside": result.SetAside,
		})
	}
	fmt.Fprintf(p.stdout, "This machine is agent %s of %s.\n\nWrite these two fingerprints down:\n  server  %s\n  agent   %s\n",
		result.Agent, result.Origin, result.ServerFingerprint, result.AgentFingerprint)
	if result.SetAside != "" {
		fmt.Fprintf(p.stdout, "\nThe identity in the earlier log is kept as %s. Restart the service: it takes the destination over by itself.\n", result.SetAside)
		return nil
	}
	name := result.Origin.Destination()
	if _, configured := c.Destination(name); !configured {
		fmt.Fprintf(p.stdout, "\nThe configuration %s names no destination %q yet: add it before the next step.\n", p.configPath, name)
		return nil
	}
	fmt.Fprintf(p.stdout, "\nNext: wolkvox-agent destination init %s\n", name)
	return nil
}
